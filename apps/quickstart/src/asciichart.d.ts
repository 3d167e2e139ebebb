/** The part of asciichart (which ships no types) that the quickstart uses. */
declare module "asciichart" {
  const asciichart: {
    /** A line chart as text, `height` rows above its lowest one. */
    plot(series: readonly number[], options: { readonly height: number }): string;
  };
  export default asciichart;
}
