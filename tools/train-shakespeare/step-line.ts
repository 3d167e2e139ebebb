import type { TrainStep } from "@heddle/training";

/** `step 120 of 2000, loss 2.41, 2,400 tokens/s, 9 min 20 s left` */
export function describeStep({
  step,
  steps,
  loss,
  tokensPerSecond,
  secondsLeft,
  validationLoss,
}: TrainStep): string {
  const whole = Math.round(secondsLeft);
  const minutes = Math.floor(whole / 60);
  return [
    `step ${step} of ${steps}`,
    `loss ${loss.toFixed(4)}`,
    ...(validationLoss === undefined ? [] : [`validation loss ${validationLoss.toFixed(4)}`]),
    `${Math.round(tokensPerSecond).toLocaleString("en")} tokens/s`,
    `${minutes > 0 ? `${minutes} min ` : ""}${whole % 60} s left`,
  ].join(", ");
}

/** Passes on at most one text in so many milliseconds, and those that must be said. */
export function sparingly(
  milliseconds: number,
  say: (text: string) => void,
  now: () => number = () => performance.now(),
): (text: string, must?: boolean) => void {
  let last = -Infinity;
  return (text, must = false) => {
    const time = now();
    if (!must && time - last < milliseconds) return;
    last = time;
    say(text);
  };
}
