/** One number that must hold. */
export interface Figure {
  readonly figure: string;
  /** What is asked, for people: `<= 1.90`. */
  readonly target: string;
  /** What came out, for people. */
  readonly measured: string;
  readonly held: boolean;
}

/** What a measurement is given. */
export interface FigureContext {
  /** Shows a person how far a long measurement has come. */
  progress(text: string): void;
}

/** The default export of a figure module. It throws where it cannot measure. */
export type Measurement = (context: FigureContext) => Promise<readonly Figure[]>;

/** A figure module, loaded when it is measured. */
export type LazyMeasurement = () => Promise<{ readonly default: Measurement }>;
