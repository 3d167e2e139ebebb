/**
 * Integer expressions of one head and shape in a normal form: query·q + key·k + constant + Σ factor·atom.
 *
 * Sums, differences and constant multiples disappear into it, so that `query - key` stays exact and equal parts
 * cancel; what is not linear (quotients, remainders, minima, products, attributes) is an atom. Sound for trees that
 * `checkExpression` let pass: nothing wraps.
 */
import type { AttributeSide, IntegerNode, VariableName } from "./tree.ts";

/** A linear combination of the two positions and of atoms, no atom twice. */
export interface Form {
  readonly query: number;
  readonly key: number;
  readonly constant: number;
  readonly terms: readonly Term[];
}

/** One atom of a form, times a factor. */
export interface Term {
  readonly factor: number;
  readonly atom: Atom;
}

/** What is not linear. `id` is the same for atoms of the same value within one {@link FormBuilder}. */
export type Atom =
  | { readonly id: number; readonly kind: "divide" | "modulo"; readonly form: Form; readonly divisor: number }
  | {
      readonly id: number;
      readonly kind: "minimum" | "maximum" | "multiply";
      readonly left: Form;
      readonly right: Form;
    }
  | { readonly id: number; readonly kind: "attribute"; readonly of: AttributeSide; readonly name: string };

/** The variables that are the same in a whole tile. */
export type KnownVariables = Readonly<Record<Exclude<VariableName, "query" | "key">, number>>;

/** `value` modulo a positive `divisor`, never negative. */
export function floorModulo(value: number, divisor: number): number {
  const rest = value % divisor;
  return rest < 0 ? rest + divisor : rest + 0;
}

/** Whether a form is a number alone, without positions and atoms. */
export function isConstant(form: Form): boolean {
  return form.query === 0 && form.key === 0 && form.terms.length === 0;
}

function constantForm(constant: number): Form {
  return { query: 0, key: 0, constant, terms: [] };
}

function scaled(form: Form, factor: number): Form {
  if (factor === 0) return constantForm(0);
  return {
    query: form.query * factor,
    key: form.key * factor,
    constant: form.constant * factor,
    terms: form.terms.map((term) => ({ factor: term.factor * factor, atom: term.atom })),
  };
}

function sum(left: Form, right: Form): Form {
  const terms = new Map(left.terms.map((term) => [term.atom.id, term]));
  for (const { factor, atom } of right.terms) {
    const total = (terms.get(atom.id)?.factor ?? 0) + factor;
    if (total === 0) terms.delete(atom.id);
    else terms.set(atom.id, { factor: total, atom });
  }
  return {
    query: left.query + right.query,
    key: left.key + right.key,
    constant: left.constant + right.constant,
    terms: [...terms.values()].toSorted((a, b) => a.atom.id - b.atom.id),
  };
}

/** `left - right`. */
export function difference(left: Form, right: Form): Form {
  return sum(left, scaled(right, -1));
}

function textOf({ query, key, constant, terms }: Form): string {
  return `${query},${key},${constant}${terms.map(({ factor, atom }) => `,${factor}#${atom.id}`).join("")}`;
}

/** Makes the forms of one head and shape; atoms of equal structure get equal ids. */
export class FormBuilder {
  readonly #known: KnownVariables;
  readonly #forms = new Map<IntegerNode, Form>();
  readonly #atoms = new Map<string, Atom>();

  constructor(known: KnownVariables) {
    this.#known = known;
  }

  form(node: IntegerNode): Form {
    let found = this.#forms.get(node);
    if (!found) this.#forms.set(node, (found = this.#build(node)));
    return found;
  }

  #build(node: IntegerNode): Form {
    switch (node.op) {
      case "constant":
        return constantForm(node.value);
      case "variable":
        if (node.name === "query") return { query: 1, key: 0, constant: 0, terms: [] };
        if (node.name === "key") return { query: 0, key: 1, constant: 0, terms: [] };
        return constantForm(this.#known[node.name]);
      case "attribute":
        return this.#term(`${node.of}.${node.name}`, (id) => ({
          id,
          kind: "attribute",
          of: node.of,
          name: node.name,
        }));
      case "add":
        return sum(this.form(node.left), this.form(node.right));
      case "subtract":
        return difference(this.form(node.left), this.form(node.right));
      case "divide":
        return this.#divide(this.form(node.left), node.divisor);
      case "modulo":
        return this.#modulo(this.form(node.left), node.divisor);
      case "multiply": {
        const [left, right] = [this.form(node.left), this.form(node.right)];
        if (isConstant(left)) return scaled(right, left.constant);
        if (isConstant(right)) return scaled(left, right.constant);
        return this.#pair("multiply", left, right);
      }
      default:
        return this.#bound(node.op, this.form(node.left), this.form(node.right));
    }
  }

  /** floor((divisor·x + y) / divisor) is x + floor(y / divisor): what can be divided leaves the quotient. */
  #divide(form: Form, divisor: number): Form {
    const whole = (value: number): number => (value % divisor === 0 ? value / divisor : 0);
    const rest = (value: number): number => (value % divisor === 0 ? 0 : value);
    const constant = Math.floor(form.constant / divisor);
    const out: Form = {
      query: whole(form.query),
      key: whole(form.key),
      constant,
      terms: form.terms.flatMap(({ factor, atom }) =>
        whole(factor) ? [{ factor: whole(factor), atom }] : [],
      ),
    };
    const inner: Form = {
      query: rest(form.query),
      key: rest(form.key),
      constant: form.constant - constant * divisor,
      terms: form.terms.filter(({ factor }) => rest(factor)),
    };
    if (isConstant(inner)) return out;
    const quotient = this.#term(`${textOf(inner)}/${divisor}`, (id) => ({
      id,
      kind: "divide",
      form: inner,
      divisor,
    }));
    return sum(out, quotient);
  }

  /** Multiples of the divisor make no difference to a remainder. */
  #modulo(form: Form, divisor: number): Form {
    const inner: Form = {
      query: form.query % divisor,
      key: form.key % divisor,
      constant: floorModulo(form.constant, divisor),
      terms: form.terms.flatMap(({ factor, atom }) =>
        factor % divisor === 0 ? [] : [{ factor: factor % divisor, atom }],
      ),
    };
    if (isConstant(inner)) return constantForm(inner.constant);
    return this.#term(`${textOf(inner)}%${divisor}`, (id) => ({ id, kind: "modulo", form: inner, divisor }));
  }

  #bound(kind: "minimum" | "maximum", left: Form, right: Form): Form {
    const apart = difference(left, right);
    if (isConstant(apart)) return apart.constant < 0 === (kind === "minimum") ? left : right;
    return this.#pair(kind, left, right);
  }

  #pair(kind: "minimum" | "maximum" | "multiply", left: Form, right: Form): Form {
    const [a, b] = [textOf(left), textOf(right)].toSorted();
    return this.#term(`${kind}(${a})(${b})`, (id) => ({ id, kind, left, right }));
  }

  #term(text: string, make: (id: number) => Atom): Form {
    let atom = this.#atoms.get(text);
    if (!atom) this.#atoms.set(text, (atom = make(this.#atoms.size)));
    return { query: 0, key: 0, constant: 0, terms: [{ factor: 1, atom }] };
  }
}
