/** The part of the quickstart's --json file that a seed determines. */
export interface QuickstartReport {
  readonly trainLoss: readonly number[];
  readonly validationLoss: number;
  readonly reloadMaxDifference: number;
  readonly sample: string;
  readonly patterns: readonly {
    readonly name: string;
    readonly allowedShare: number;
    readonly validationLoss: number;
  }[];
}

/** What differs between two runs of one seed, or is missing from them; empty when they are equal to the last bit. */
export function differences(first: QuickstartReport, second: QuickstartReport): string[] {
  const found: string[] = [];
  const steps = Math.max(first.trainLoss?.length ?? 0, second.trainLoss?.length ?? 0);
  if (steps === 0) found.push("trainLoss: must hold a value for each step, got none");
  for (let step = 0; step < steps; step++) {
    const [a, b] = [first.trainLoss[step], second.trainLoss[step]];
    if (!Object.is(a, b)) {
      found.push(`trainLoss[${step}]: must be equal in both runs, got ${a} and ${b}`);
      break;
    }
  }
  for (const field of ["validationLoss", "reloadMaxDifference", "sample"] as const)
    if (first[field] === undefined || !Object.is(first[field], second[field]))
      found.push(
        `${field}: must be equal in both runs, got ${JSON.stringify(first[field])} and ${JSON.stringify(second[field])}`,
      );
  const rows = ({ patterns = [] }: QuickstartReport): string =>
    JSON.stringify(
      patterns.map(({ name, allowedShare, validationLoss }) => [name, allowedShare, validationLoss]),
    );
  if (rows(first) === "[]" || rows(first) !== rows(second))
    found.push(`patterns: must be there and equal in both runs, got ${rows(first)} and ${rows(second)}`);
  return found;
}
