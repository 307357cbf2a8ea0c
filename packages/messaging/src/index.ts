export { natsConfig, passwordVariable, tenantUser } from './accounts.ts';
export { API_PREFIX, Bus, type BusOptions } from './bus.ts';
export { claim, type Claim } from './claim.ts';
export { consume, type ConsumeOptions, type Consumption, type Delivery } from './consume.ts';
export { type AdminOptions, checkProvisioned, provision, ProvisionFailed, streamsMissing } from './provision.ts';
export { NO_ANSWER, NO_STREAM, PublishFailed } from './publisher.ts';
export { isSigned, sign, SIGNATURE_HEADER } from './signature.ts';
