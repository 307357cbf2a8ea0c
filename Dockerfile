# One image per service: docker build --build-arg SERVICE=gateway .
# One more holds the steps that set a deployment up: docker build --target deploy .
ARG NODE_IMAGE=node:24-trixie-slim

FROM ${NODE_IMAGE} AS workspace
WORKDIR /src
COPY toolchain.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm install --global --ignore-scripts --no-audit --no-fund "pnpm@$(node -p 'require("./toolchain.json").pnpm.version')"
# What the lockfile names is fetched before any source is looked at, so that an edited source fetches nothing.
COPY pnpm-lock.yaml pnpm-workspace.yaml ./
RUN pnpm fetch --ignore-scripts
COPY . .
RUN pnpm install --frozen-lockfile --offline --ignore-scripts

FROM workspace AS bundled
ARG SERVICE
RUN node infra/docker/bundle.mjs "${SERVICE:?say which: --build-arg SERVICE=gateway}" /out

FROM workspace AS bundled-deploy
RUN node infra/docker/bundle.mjs deploy /out

# No shell is needed, nothing is written: it runs on a read-only file system.
FROM ${NODE_IMAGE} AS runtime
WORKDIR /app
ENV NODE_ENV=production
LABEL org.opencontainers.image.vendor="Mandate" org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["node", "--enable-source-maps"]

FROM runtime AS deploy
LABEL org.opencontainers.image.title="mandate-deploy"
# A new volume takes the owner of the folder on which it is first mounted: so the volumes become node's.
RUN install -d -o 1000 -g 1000 -m 0700 /secrets && install -d -o 1000 -g 1000 /data
COPY --from=bundled-deploy /out/ ./
# The user "node", by number, so that Kubernetes can tell that it is not root.
USER 1000:1000
ENTRYPOINT ["node", "--enable-source-maps", "bin/main.mjs"]
CMD ["--help"]

FROM runtime AS service
ARG SERVICE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="mandate-${SERVICE}" org.opencontainers.image.version="${VERSION}"
COPY --from=bundled /out/ ./
USER 1000:1000
ENV HEALTH_HOST=0.0.0.0 HEALTH_PORT=9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HEALTH_PORT}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Its variables come from the environment, or from the file of secrets that is mounted here.
CMD ["--env-file-if-exists=/secrets/service.env", "bin/main.mjs"]
