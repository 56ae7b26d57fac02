import {
  ACTIVE_CPU_SHARE,
  DURABLE_OBJECT_REQUESTS_A_CALL,
  INSTANCE_SIZES,
  type InstanceType,
  PRICES,
  type Price,
  ROWS_A_CALL,
} from "./prices.ts";

/** How a deployment is used. */
export interface DeploymentUse {
  readonly instanceType: InstanceType;
  /** How long each of the sandboxes runs. */
  readonly hoursPerDay: number;
  readonly sandboxes?: number;
  /** The part of that time in which its processors work. */
  readonly activeCpuShare?: number;
  /** Of all browsers together. */
  readonly browserHoursPerDay?: number;
  readonly storageGb?: number;
  readonly callsPerDay?: number;
}

export interface MonthlyCostRow extends Price {
  /** How much of it a month takes, what the plan includes with it. */
  readonly quantity: number;
  readonly totalUsd: number;
}

export interface MonthlyCost {
  readonly rows: readonly MonthlyCostRow[];
  readonly totalUsd: number;
}

const DAYS_A_MONTH = 365 / 12;
const MILLION = 1e6;
/** What each Durable Object is billed for while it is in memory, as a sandbox's is while its container runs. */
const DURABLE_OBJECT_GB = 0.128;

/** What a deployment costs in an average month, by the price table; models are not in it. */
export function monthlyCost({
  instanceType,
  hoursPerDay,
  sandboxes = 1,
  activeCpuShare = ACTIVE_CPU_SHARE,
  browserHoursPerDay = 0,
  storageGb = 0,
  callsPerDay = 0,
}: DeploymentUse): MonthlyCost {
  const { vcpus, memoryGib, diskGb } = INSTANCE_SIZES[instanceType];
  const hours = hoursPerDay * sandboxes * DAYS_A_MONTH;
  const millionCalls = (callsPerDay * DAYS_A_MONTH) / MILLION;
  const rows = [
    rowOf(PRICES.plan, 1),
    rowOf(PRICES.containerMemory, memoryGib * hours),
    rowOf(PRICES.containerCpu, vcpus * activeCpuShare * hours),
    rowOf(PRICES.containerDisk, diskGb * hours),
    rowOf(PRICES.durableObjectTime, (DURABLE_OBJECT_GB * hours * 3_600) / MILLION),
    rowOf(PRICES.browserTime, browserHoursPerDay * DAYS_A_MONTH),
    rowOf(PRICES.storage, storageGb),
    rowOf(PRICES.workerRequests, millionCalls),
    rowOf(PRICES.durableObjectRequests, millionCalls * DURABLE_OBJECT_REQUESTS_A_CALL),
    rowOf(PRICES.rowsWritten, millionCalls * ROWS_A_CALL),
  ];
  return { rows, totalUsd: rows.reduce((sum, { totalUsd }) => sum + totalUsd, 0) };
}

function rowOf(price: Price, quantity: number): MonthlyCostRow {
  return { ...price, quantity, totalUsd: Math.max(0, quantity - price.included) * price.usd };
}
