/** One step of continuous integration: a command that fails by its exit code. */
export interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  /** The stage is killed, and failed, after this many minutes. */
  readonly minutes: number;
  /** Vitest runs in it: it takes reporter arguments and must execute at least one test. */
  readonly countsTests?: true;
}

/** The stages after `npm ci`, in order. All of them run, whatever failed before. */
export const stages: readonly Stage[] = [
  { name: "npm test", command: ["npm", "test", "--"], minutes: 25, countsTests: true },
  { name: "lint", command: ["npm", "run", "lint"], minutes: 2 },
  { name: "format", command: ["npm", "run", "format:check"], minutes: 2 },
  { name: "typecheck", command: ["npm", "run", "typecheck"], minutes: 5 },
  { name: "build", command: ["npm", "run", "build"], minutes: 5 },
  { name: "boundaries", command: ["npm", "run", "boundaries"], minutes: 1 },
  { name: "quickstart twice", command: ["node", "tools/ci/quickstart-twice.ts"], minutes: 10 },
  // What `npm run test:all` adds to `npm test`, which has run by now.
  {
    name: "test:all",
    command: ["vitest", "run", "--project", "webgpu-full", "--project", "browser"],
    minutes: 45,
    countsTests: true,
  },
  { name: "Node 20", command: ["npm", "run", "test:node-20", "--"], minutes: 10, countsTests: true },
  { name: "packaging test", command: ["npm", "run", "solo-install"], minutes: 10 },
  { name: "hosts", command: ["npm", "run", "check:hosts"], minutes: 10 },
  { name: "plugin check", command: ["npm", "run", "check:plugin"], minutes: 10 },
];
