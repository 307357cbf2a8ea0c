/*
 * What the analyzer knows, as data.
 *
 * A term is one or more words. `fix~` stands for the forms of a regular verb (fix,
 * fixes, fixed, fixing); `^document~` counts only where a clause begins. A weight
 * says how strongly the term speaks for its claim: 3 and more is a name for it,
 * 1 a hint. Rule ids are `<table>.<claim>.<term>` and stay stable.
 */
import type { Capability, Intent, TaskFlags, TaskType } from './task-analysis.ts';

/** Changes whenever a rule does: analyses of different versions are not compared. */
export const ANALYZER_VERSION = 'rules-2';

/** Weight, then the terms of that weight, separated by commas. */
export type WeightedTerms = readonly (readonly [weight: number, terms: string])[];

export const INTENT_TERMS: Readonly<Record<Intent, WeightedTerms>> = {
  code_development: [
    [3.2, '^implement~, scaffold~, ^code up'],
    [2.4, '^develop~, ^build~, ^program~, new feature, new endpoint, ^integrate~'],
    [1.6, 'implement~, ^create~, ^add~, ^code~, feature, features, support for, prototype, ^migrate~, ^port~, ^generate~'],
    [
      1.1,
      'function, component, components, script, endpoint, endpoints, module, class, api, app, application, service, microservice, cli, library, parser, algorithm, webhook',
    ],
    [0.7, '^write~, ^make, code, build~, create~, add~, javascript, typescript, python, react, backend, frontend'],
  ],
  bug_fixing: [
    [3.4, '^fix~, ^debug~, ^troubleshoot~, ^repair~, hotfix, bug, bugs, bugfix'],
    [
      2.4,
      "debug~, crash~, broken, not working, doesn't work, does not work, stopped working, stack trace, traceback, null pointer, segfault",
    ],
    [1.8, 'fix~, exception, exceptions, ^resolve~, ^patch~, error, errors, regression, race condition, memory leak, deadlock'],
    [1.0, 'issue, issues, fail~, failure, failures, wrong, incorrect, hangs, leak'],
  ],
  code_review: [
    [4.0, 'code review, review the code, review my code, review this code, pull request, merge request, security review'],
    [3.0, '^review~, ^critique~, ^audit~'],
    [1.8, 'review~, code quality, code smells, best practices, vulnerabilities, pr, audit~, look over, second opinion'],
    [0.9, '^inspect~, security, feedback, style guide, diff'],
  ],
  testing: [
    [
      4.0,
      'unit test, unit tests, integration test, integration tests, test suite, test cases, test case, regression tests, end to end tests, e2e tests, load test, load tests, smoke test, smoke tests, property tests, test coverage',
    ],
    [3.2, '^test~, tdd, test plan'],
    [2.6, 'test, tests, testing, coverage, e2e, fuzz~'],
    [1.2, '^verify, ^validate~, mocks, mock~, assertions, qa, flaky, specs'],
  ],
  documentation: [
    [4.0, '^document~, api documentation, documentation, docstring, docstrings, jsdoc, tsdoc, readme, user guide, release notes'],
    [2.8, 'changelog, tutorial, runbook, api reference, user manual, how to guide, getting started guide, wiki'],
    [1.6, 'docs, ^describe~, code comments, inline comments, faq, manual, documented'],
  ],
  planning: [
    [3.6, '^plan~, roadmap, milestone, milestones, project plan, sprint plan, sprint planning, release plan, migration plan'],
    [
      2.4,
      '^schedule~, ^prioritise~, ^prioritize~, sprint, backlog, user stories, break down, ^organise~, ^organize~, plan, plans, planning',
    ],
    [1.4, '^estimate~, timeline, strategy, next steps, agenda, priorities, schedule, deadline, kickoff, quarter'],
  ],
  design: [
    [3.8, '^design~, ^architect~, system design, wireframe, wireframes, mockup, mockups, data model, software architecture'],
    [2.6, 'architecture, design, designs, blueprint, ^sketch~, ^model~, database schema, class diagram, sequence diagram, user interface'],
    [1.4, 'schema, diagram, diagrams, layout, ui, ux, ui/ux, user experience, interfaces, domain model'],
  ],
  deployment: [
    [4.0, '^deploy~, deployment, deployments, rollout, roll out, ^release~, ^rollback, roll back'],
    [2.6, 'deploy~, ci/cd, release pipeline, helm, helm chart, terraform, ^provision~, ^publish~, ^ship, blue green, canary'],
    [1.4, 'kubernetes, k8s, docker, dockerfile, pipeline, staging, production, cluster, container, containers, aws, azure, gcp, hosting'],
  ],
  analysis: [
    [3.4, '^analyse~, ^analyze~, ^assess~, ^investigate~, ^examine~, ^evaluate~, data analysis, root cause analysis'],
    [2.6, 'analysis, analyse~, analyze~, ^compare~, ^correlate~, insights, root cause, ^research~, ^study, ^survey~'],
    [
      1.4,
      'investigate~, compare~, comparison, evaluate~, trend, trends, statistics, metrics, ^explore~, ^measure~, ^count~, ^summarise~, ^summarize~, patterns, dataset, correlation, ^find, ^identify, ^determine~',
    ],
  ],
  refactoring: [
    [4.2, '^refactor~, refactor~, refactoring'],
    [
      3.2,
      '^restructure~, ^clean up, ^modularise~, ^modularize~, ^decouple~, ^deduplicate~, ^reorganise~, ^reorganize~, technical debt, tech debt, dead code',
    ],
    [
      2.4,
      '^simplify~, ^extract~ the, ^rename~, ^modernise~, ^modernize~, clean up, cleanup, duplication, duplicated code, spaghetti, ^untangle~',
    ],
    [
      1.2,
      'restructure~, readability, maintainability, readable, maintainable, legacy, cleaner, smaller functions, ^split~, ^rewrite~, ^move',
    ],
  ],
  optimization: [
    [4.2, '^optimise~, ^optimize~, optimization, optimisation, ^speed up, performance tuning'],
    [
      3.0,
      'speed up, optimise~, optimize~, faster, bottleneck, bottlenecks, ^tune~, performance, reduce memory, reduce latency, memory usage, response time, load time, cpu usage, too slow',
    ],
    [1.6, 'slow, latency, throughput, efficient, efficiency, ^cache~, caching, ^reduce~, ^improve~, scalability, ^profile~, query plan'],
  ],
  general_assistance: [
    [
      2.2,
      'what is, what are, how do i, how can i, how does, how to, can you help, help me, who is, tell me about, ^explain~, ^translate~, ^recommend~, ^suggest~',
    ],
    [
      1.2,
      '^what, ^who, ^where, ^when, ^why, ^list~, ^show~, ^tell, ^give, ^help, ^which, ^how, ^read, ^answer~, ^convert~, ^calculate~, ^improve~ the essay, essay, poem, story, recipe, joke',
    ],
  ],
};

export const TASK_TYPE_TERMS: Readonly<Record<TaskType, WeightedTerms>> = {
  information_retrieval: [
    [2.6, '^look up, ^search for, ^retrieve~, ^look for, what is, who is, where is, when is, what are'],
    [1.8, 'how many, ^find, ^list~, ^get, ^fetch~, ^what, ^who, ^where, ^when, ^which, ^show~, ^search~, ^tell, ^how'],
    [0.8, 'information, facts, definition, weather, news, lookup'],
  ],
  content_creation: [
    [
      3.2,
      '^write~ a blog, blog post, article, essay, poem, story, press release, newsletter, cover letter, white paper, ^compose~, ^draft~, documentation, readme, tutorial, user guide, release notes, slogan',
    ],
    [
      2.0,
      '^summarise~, ^summarize~, report, presentation, slides, docstrings, changelog, ^rewrite~, ^document~, copy for, description for, summary, ^translate~, caption, docs',
    ],
    [1.0, '^write~, ^edit~, ^generate~, letter, text, documented'],
  ],
  data_analysis: [
    [
      3.2,
      'data analysis, dataset, datasets, csv, spreadsheet, ^analyse~ the data, ^analyze~ the data, sales data, statistics, statistical, regression model, time series, pivot table',
    ],
    [
      2.2,
      'trend, trends, chart, charts, average, median, correlation, outliers, metrics, ^aggregate~, ^visualise~, ^visualize~, forecast, histogram, figures, sql query, kpi, anomalies',
    ],
    [1.6, '^analyse~, ^analyze~, analysis, ^count~, ^calculate~, data, ^compare~, logs, json files'],
  ],
  file_operations: [
    [
      3.0,
      '^rename~ the files, ^move the files, ^copy the files, ^delete~ the files, list the files, list all files, directory tree, ^read the file, ^zip, ^unzip, ^list~ files, list the directories, list every file',
    ],
    [2.2, 'files, folder, folders, directory, directories, subfolders, file'],
    [1.2, '^copy, ^move, ^rename~, ^delete~, ^read, ^open~, markdown, backup, archive, extension'],
  ],
  web_automation: [
    [
      3.4,
      '^scrape~, scraper, ^crawl~, browser, fill in the form, fill out the form, log in to the website, ^navigate~ to, ^click~, screenshot, screenshots, web page, web pages, webpage, puppeteer, playwright, selenium',
    ],
    [2.0, 'website, web site, websites, form, button, ^download~, headless, cookies, captcha'],
  ],
  code_development: [
    [
      2.6,
      '^implement~, ^refactor~, ^debug~, unit tests, unit test, pull request, code review, source code, integration tests, ^deploy~, stack trace, test suite, ^code~',
    ],
    [
      1.8,
      'code, function, class, bug, bugs, endpoint, endpoints, api, module, component, compiler, parser, algorithm, typescript, javascript, python, rust, java, react, database schema, microservice, refactor~, tests, sql, kubernetes, docker, ci/cd, login page, repository',
    ],
    [1.0, 'app, application, feature, script, service, library, query, queries, crash~, error, errors, backend, frontend, server, test'],
  ],
  project_management: [
    [
      3.2,
      'roadmap, milestones, milestone, sprint, backlog, project plan, gantt, user stories, kickoff, release plan, stakeholders, migration plan',
    ],
    [
      2.4,
      '^plan~, ^prioritise~, ^prioritize~, ^schedule~, ^assign~, ^coordinate~, timeline, deadlines, resource allocation, risks, planning',
    ],
    [1.0, 'project, tasks, team, deadline, status, ^track~, ^organise~, ^organize~, quarter'],
  ],
  research: [
    [
      3.4,
      '^research~, literature, literature review, state of the art, academic, papers, peer reviewed, ^survey~, market research, competitors, competitor analysis, sources',
    ],
    [
      2.0,
      '^investigate~, ^explore~, ^study, studies, alternatives, pros and cons, research, evidence, findings, compare the options, options for',
    ],
    [0.8, '^evaluate~, background, history of, overview of'],
  ],
  communication: [
    [
      3.4,
      '^send~ an email, ^send, ^email~, ^notify, ^reply, ^message~, ^announce~, slack message, ^e-mail, invitation, ^invite~, ^respond~ to',
    ],
    [
      2.2,
      'email to, email the, e mail, slack, announcement, customers about, ^post, ^contact~, ^remind~, ^inform~, newsletter to, message to, to the team',
    ],
    [0.9, 'email, emails, message, feedback to, meeting, customer, stakeholders'],
  ],
  reasoning: [
    [
      3.0,
      '^why, ^prove~, ^solve~, puzzle, riddle, logic, trade offs, tradeoffs, ^explain~ why, ^reason~, ^decide~, ^deduce~, think through, ^argue~, what if, should we',
    ],
    [
      2.2,
      '^explain~, ^evaluate~, ^assess~, ^justify, argument, decision, ^consider~, ^recommend~, hypothesis, ^calculate~, ^design~, architecture, ^understand',
    ],
    [1.0, 'because, consequences, implications, root cause, ^think, opinion, ^improve~'],
  ],
};

/** How a software intent speaks for a task type. */
export const TYPE_OF_INTENT: Readonly<Partial<Record<Intent, readonly [TaskType, number]>>> = {
  code_development: ['code_development', 1.2],
  bug_fixing: ['code_development', 2.4],
  code_review: ['code_development', 2.2],
  testing: ['code_development', 2.4],
  documentation: ['content_creation', 1.6],
  planning: ['project_management', 2],
  design: ['reasoning', 0.6],
  deployment: ['code_development', 2.2],
  analysis: ['data_analysis', 0.6],
  refactoring: ['code_development', 2.6],
  optimization: ['code_development', 2],
};

/** What a task type needs: capability, priority, whether one can do without. */
export const CAPABILITIES_OF_TYPE: Readonly<Record<TaskType, readonly (readonly [Capability, 1 | 2 | 3 | 4 | 5, boolean])[]>> = {
  information_retrieval: [
    ['information', 4, false],
    ['search', 4, false],
  ],
  content_creation: [
    ['creation', 5, false],
    ['cognitive', 3, true],
  ],
  data_analysis: [
    ['analysis', 5, false],
    ['data', 4, false],
  ],
  file_operations: [['file_system', 5, false]],
  web_automation: [
    ['web', 5, false],
    ['automation', 4, false],
  ],
  code_development: [
    ['development', 5, false],
    ['file_system', 3, true],
    ['reasoning', 2, true],
  ],
  project_management: [
    ['cognitive', 4, false],
    ['creation', 3, true],
  ],
  research: [
    ['search', 5, false],
    ['information', 4, false],
    ['analysis', 3, true],
  ],
  communication: [
    ['communication', 5, false],
    ['creation', 3, true],
  ],
  reasoning: [
    ['reasoning', 5, false],
    ['cognitive', 3, true],
  ],
};

/** Words that ask for a capability themselves. The weight is the priority. */
export const CAPABILITY_TERMS: Readonly<Record<Capability, WeightedTerms>> = {
  development: [[4, '^implement~, ^refactor~, ^debug~, ^deploy~, source code, code, unit tests, bug, bugs, script']],
  information: [[3, 'what is, who is, where is, facts, information about, ^look up']],
  cognitive: [[3, '^plan~, ^prioritise~, ^prioritize~, ^brainstorm~, ^understand, strategy']],
  automation: [
    [4, '^automate~, automation, automatically, every day, every hour, ^schedule~, nightly, cron, workflow'],
    [3, '^click~, fill in the form'],
  ],
  data: [
    [4, 'csv, dataset, datasets, database, sql, spreadsheet, postgres, json files, sqlite'],
    [3, 'json, data, yaml, table, tables'],
  ],
  communication: [[4, '^send, ^email~, ^notify, ^reply, ^announce~, slack, newsletter, ^invite~, email to']],
  analysis: [
    [4, '^analyse~, ^analyze~, ^compare~, ^evaluate~, ^assess~, analysis, statistics'],
    [3, '^count~, compare~, trends, metrics, ^investigate~'],
  ],
  creation: [
    [4, '^write~ a report, ^write~, ^draft~, ^compose~, report, essay, article, blog post, presentation'],
    [3, '^summarise~, ^summarize~, ^document~, summary, documentation, readme'],
  ],
  file_system: [[4, 'file, files, folder, folders, directory, directories, workspace']],
  web: [[4, 'website, websites, web page, web pages, browser, ^scrape~, ^crawl~, url, urls, online, internet, web']],
  search: [
    [4, '^search~, search the web, ^look for, ^find'],
    [3, '^research~, ^locate~, sources'],
  ],
  reasoning: [
    [4, '^explain~, ^why, ^prove~, ^solve~, ^decide~, trade offs, root cause'],
    [3, '^evaluate~, ^design~, architecture, ^recommend~'],
  ],
};

/** "these three", "the following 4", "all five": so many parts, told apart. */
const COUNTED_PARTS = ['these', 'the following', 'all'].flatMap((which) =>
  'three,four,five,six,seven,eight,nine,ten,3,4,5,6,7,8,9,10'.split(',').map((number) => `${which} ${number}`),
);
/** Whose turn it is in a conversation. */
const SUPPORT_TALKS = ['a', 'the', 'this', 'my'].flatMap((article) =>
  ['support conversation', 'support chat', 'support call', 'customer conversation'].map((talk) => `${article} ${talk}`),
);

/** Every verb with every object. */
const phrases = (verbs: string, objects: readonly string[]) =>
  verbs
    .split(', ')
    .flatMap((verb) => objects.map((object) => `${verb} ${object}`))
    .join(', ');
const OURS = ['it', 'them', 'the', 'this', 'that', 'these', 'my', 'our'];
const CASES = [
  'the case',
  'the customer',
  'the caller',
  'the client',
  'the patient',
  'the conversation',
  'the call',
  'the ticket',
  'the chat',
];
const EXPERTS = ['expert', 'specialist', 'agent', 'department', 'colleague', 'advisor'];
/** Found only where something is given to them: "the right person" alone may be a poem. */
const PEOPLE = ['team', 'person', 'assistant'];

export const FLAG_TERMS: Readonly<Record<keyof TaskFlags, string>> = {
  urgent:
    'urgent, urgently, asap, as soon as possible, immediately, emergency, right away, right now, hotfix, p0, time critical, without delay, before the deadline',
  ordered:
    'then, after that, afterwards, finally, step by step, in order, in sequence, one after the other, once done, followed by, subsequently, thereafter, firstly, secondly, after, before',
  staged:
    'then, after that, afterwards, finally, lastly, step by step, in sequence, one after the other, one after another, once done, once that is done, when that is done, followed by, ' +
    'subsequently, thereafter, firstly, secondly, thirdly, in this order, in that order, in the following order',
  parallelizable:
    'in parallel, simultaneously, concurrently, at the same time, side by side, independently, each, for each, every file, all files, respectively',
  independentParts:
    'in parallel, independently and, each independently, each one independently, independently of each other, separately, for each of, independent of each other, several independent, these independent, two independent, three independent, four independent, five independent, independent parts, independent tasks, ' +
    'independent questions, independent topics, ^compare~ these, ^compare~ the following, ' +
    phrases(
      '^compare~, ^research~, ^review~, ^analyse~, ^analyze~, ^evaluate~, ^assess~, ^investigate~, ^summarise~, ^summarize~, ^translate~, ^check~',
      COUNTED_PARTS,
    ),
  iterative:
    'until, iterate~, iteratively, iterations, repeatedly, keep improving, keep trying, over and over, again and again, fine tune~, several rounds, in rounds, ^refine, ^refining, polish~ up, ' +
    phrases('refine~, polish~', OURS),
  refining:
    "^improve~, ^refine, ^refining, ^revise~, ^rework~, ^rewrite~, ^critique~, ^edit~, ^perfect, keep improving, polish~ up, as good as possible, it is perfect, it's perfect, is flawless, " +
    phrases('improve~, refine~, revise~, rework~, rewrite~, critique~, polish~', OURS),
  choosesSpecialist:
    phrases('right, appropriate, suitable, proper, matching', EXPERTS) +
    ', ' +
    phrases('to the right, to the appropriate, let the right, let the appropriate, ask the right', PEOPLE) +
    ', ' +
    phrases('which', ['agent should', 'department should', 'colleague should', 'team should', 'person should']) +
    ', which expert, which specialist, best expert, best specialist, best agent, whoever knows, whoever can, whoever is on call, whoever is responsible, someone who knows, somebody who knows, ' +
    'who is best placed to, who should answer, who should handle, ' +
    phrases('route~', ['this', 'it', 'them', 'my', ...CASES, 'the question', 'the message', 'the inquiry', 'the complaint']) +
    ', ' +
    phrases('forward~ it to, forward this to, assign~ it to, direct it to', ['whoever', 'the right', 'the best', 'the team that']),
  handsOver:
    'hand~ over to, hand~ off to, hand~ back to, hand~ it over, hand~ it off, hand~ them over, hand~ them off, hand~ him over, hand~ her over, hand~ me over, ' +
    phrases('hand~, pass~, transfer~', CASES) +
    ', pass~ it on to, pass~ them on to, pass~ me on to, transfer~ it to, transfer~ them to, transfer~ me to, take~ over from, ^escalate~, ' +
    phrases('escalate~', [
      'it',
      'them',
      'this',
      'the',
      'to the',
      'to a',
      'to an',
      'to second',
      'to tier',
      'to level',
      'if',
      'when',
      'where',
      'anything',
      'whatever',
      'as needed',
    ]) +
    ', ' +
    phrases('hand overs, hand offs, handovers, handoffs', ['between', 'from one']) +
    ', ' +
    phrases('^handle~, ^run, ^lead, ^conduct~, ^hold, ^manage~, ^continue~', SUPPORT_TALKS),
  conversation:
    'support conversation, support chat, support call, customer conversation, customer support, customer service, help desk, helpdesk, live chat, conversation with, support tickets, incoming tickets, ' +
    'first line support, second line support, ^triage~, triage~ and',
  asking: '^what, ^why, ^who, ^how, ^which, ^whose, ^explain~, ^define~, ^tell, ^is, ^are, ^does, ^did, ^was, ^were',
  needsHuman:
    'approval, approve~, ask me, confirm~ with me, check with me, sign off, my permission, wait for me, wait for my, let me decide, let me choose, human review, manual review, my confirmation, consult me, with my consent',
};

/** "Not urgent" claims nothing. */
export const NEGATIONS: ReadonlySet<string> = new Set([
  'not',
  'no',
  "isn't",
  'never',
  'without',
  "don't",
  "doesn't",
  'nothing',
  "wasn't",
  "aren't",
  "needn't",
  'hardly',
]);

/** "If it is red then stop it" names a case, not the next step. */
export const CONDITIONS: ReadonlySet<string> = new Set(['if', 'unless', 'whenever']);

/** "A poem about the right person" looks for nobody. */
export const TOPIC_WORDS: ReadonlySet<string> = new Set(['about', 'titled', 'called', 'named']);

/** "Two jobs run in parallel", "it waits until noon" say how it is; "run the jobs in parallel" how to do it. */
export const DESCRIBING_WORDS: ReadonlySet<string> = new Set(
  'run runs running ran work works working execute executes executed happen happens happening live lives exist used called connected wired wait waits waiting loop loops retries restart restarts stays'.split(
    ' ',
  ),
);

/** Verbs whose object is a text, which may follow: "Summarise:". */
export const TEXT_VERBS: ReadonlySet<string> = new Set(
  'summarise summarize translate proofread paraphrase rephrase rewrite shorten edit critique interpret classify categorise categorize reply respond'.split(
    ' ',
  ),
);
/** Verbs whose object may be a text, where a word points to it: "Review this:". */
export const POINTED_VERBS: ReadonlySet<string> = new Set(
  'explain correct simplify improve polish extract analyse analyze review check read format fix debug refactor document compare evaluate rate answer describe comment'.split(
    ' ',
  ),
);
export const POINTING_WORDS: ReadonlySet<string> = new Set(['this', 'these', 'following', 'below']);

/** Matters that make a task hard, whoever does it. */
export const HARD_TERMS =
  'distributed, concurrency, concurrent, real time, realtime, scalable, scalability, high availability, fault tolerant, fault tolerance, security, compliance, gdpr, encryption, authentication, oauth, ' +
  'migration, migrate~, architecture, end to end, from scratch, production, enterprise, entire system, whole system, microservices, machine learning, compiler, consensus, multi tenant, zero downtime, ' +
  'comprehensive, exhaustive, cross platform, event sourcing, kubernetes, performance, legacy, formal proof, theorem';

/** Conditions that a result must meet. */
export const CONSTRAINT_TERMS =
  'must, should, ensure~, make sure, at least, at most, no more than, exactly, only, within, without, while keeping, backwards compatible, deadline, budget, requirement, requirements, constraint, constraints, limit~, including, except, unless, according to';

/** Effort that an intent brings with it, on the 0–10 scale. */
export const EFFORT_OF_INTENT: Readonly<Record<Intent, number>> = {
  code_development: 1.6,
  bug_fixing: 1.4,
  code_review: 1.4,
  testing: 1.4,
  documentation: 1,
  planning: 1.4,
  design: 2,
  deployment: 1.6,
  analysis: 1,
  refactoring: 1.8,
  optimization: 1.8,
  general_assistance: 0,
};

/** Verbs that begin a step and are in no other table. */
export const STEP_VERBS =
  'list~, find, read, show~, count~, write~, create~, make, open~, copy, move, delete~, remove~, send, get, give, take, check~, run, start~, stop~, use~, update~, change~, add~, build~, set, collect~, gather~, extract~, ' +
  'summarise~, summarize~, translate~, explain~, describe~, compare~, calculate~, compute~, report~, print~, save~, upload~, download~, install~, configure~, verify, validate~, merge~, sort~, filter~, convert~, parse~, monitor~, publish~, search~, ' +
  'fetch~, store~, select~, pick~, choose, tell, ask~, call~, notify, review~, test~, document~, deploy~, fix~, improve~, generate~, propose~, draft~, prepare~, present~, discuss~, rank~, group~, label~, classify, visualise~, visualize~, plot~, look, turn~, put, clean~, format~, export~, import~, recommend~, ' +
  'book~, buy, order~, pay, reserve~, draw, record~, split, combine~, compile~, assemble~, repeat~, replace~, insert~, attach~, submit~, share~, clone~, commit~, push~, pull~, restart~, close~, proofread, try, define~';

/** Words at the head of a clause that are not what is asked. */
export const COURTESY: ReadonlySet<string> = new Set(
  "please kindly can could would will you i we want need to like i'd us me let let's just now first next finally also hey hi hello ok okay the so help firstly secondly lastly".split(
    ' ',
  ),
);

/** Everyday English, to know the language by. */
export const ENGLISH_WORDS: ReadonlySet<string> = new Set(
  (
    'the a an and or of to in on at by for with from as is are was were be been it its this that these those there here how what which who where when why do does did can could would should ' +
    'will have has had not no all any each every some more most other into over under about after before between during than then so if but please my your our their his her me you we they i'
  ).split(' '),
);

/** Everyday words of other languages that are not English words as well. */
export const OTHER_LANGUAGES: ReadonlySet<string> = new Set(
  (
    'der das und ist nicht ein eine einen dem den im mit für auf von zu wie alle bitte schreibe ordner dateien sind oder ' +
    'le les des une et est pour dans avec sur pas que qui du au aux tous fichiers écris ' +
    'el los las y para por una con del que es en un escribe archivos todos ' +
    'il lo gli di che per con sono nella della scrivi uma não com dos das arquivos ' +
    'het een van en voor met niet alle bestanden och att det som inte på är för'
  ).split(' '),
);
