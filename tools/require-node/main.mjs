// Plain JavaScript, so that the Node it complains about can still run it.
import { complaint } from "./complaint.mjs";

const sentence = complaint(process.versions.node);
if (sentence) {
  console.error(sentence);
  process.exit(1);
}
