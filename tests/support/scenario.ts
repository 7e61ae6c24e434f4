/**
 * Transcripts of the pure machines: a text file of commands, each followed by what the machine answered.
 * `transcript(file, startScene)` registers one test for each scenario of the file. With SKEIN_UPDATE=1 the answers
 * in the file are written anew, and the difference is for people to review.
 *
 *   # a comment                  kept as it is
 *   == a title                   a scenario begins, with a fresh scene; the title is the test's name
 *   == known fault: a title      the same, for what the machine does not do yet; its answers are not written anew
 *   > a command
 *   what it answered, any number of lines
 */
import test from 'ava';
import { incarnation, nodeName, nodeOf, originId, type OriginId } from '../../protocol/ids.js';
import { isUpdating, readExpected, writeExpected } from './checkout.js';

/** One machine under test: gives the lines a command leads to. Unknown commands throw. */
export type Scene = (command: Command) => string[];

/** A command in words: `name`, the words without `=` or `:`, and those with one. */
export interface Command {
  readonly name: string;
  readonly words: readonly string[];
  /** The words `a:3`, in their order. */
  readonly positions: readonly { readonly origin: OriginId; readonly at: number }[];
  /** The words `key=value`. */
  readonly options: ReadonlyMap<string, string>;
  readonly text: string;
}

interface Scenario {
  readonly title: string;
  readonly isKnownFault: boolean;
  readonly head: string;
  readonly steps: { readonly command: string; readonly expected: string }[];
}

const KNOWN_FAULT = 'known fault: ';

export const transcript = (file: string, startScene: () => Scene): void => {
  const path = `tests/scenario/${file}`;
  if (isUpdating) writeExpected(path, rewrittenFile(readExpected(path), startScene));
  const scenarios = parse(readExpected(path)).scenarios;
  for (const scenario of scenarios) {
    const register = scenario.isKnownFault ? test.failing : test;
    register(scenario.title, (t) => {
      const scene = startScene();
      t.true(scenario.steps.length > 0);
      for (const { command, expected } of scenario.steps)
        t.is(`> ${command}\n${answer(scene, command)}`, `> ${command}\n${expected}`);
    });
  }
  test(`${file} has scenarios`, (t) => t.true(scenarios.length > 0));
};

/** A new origin of a node for each `/number`: `a` is `a/1`. */
export const originNamed = (name: string): OriginId => {
  const [node = '', life = '1'] = name.split('/');
  return originId({ node: nodeName(node), incarnation: incarnation(life.padStart(16, '0')) });
};

export const nameOf = (origin: OriginId): string => {
  const life = Number.parseInt(origin.slice(origin.lastIndexOf('#') + 1), 10);
  return life === 1 ? nodeOf(origin) : `${nodeOf(origin)}/${life}`;
};

/** `a:3 b:1`, or `nothing`. */
export const shown = (positions: Iterable<readonly [OriginId, number]>): string =>
  [...positions].map(([origin, at]) => `${nameOf(origin)}:${at}`).join(' ') || 'nothing';

export const numberIn = (command: Command, option: string, otherwise?: number): number => {
  const value = command.options.get(option);
  if (value !== undefined) return Number(value);
  if (otherwise !== undefined) return otherwise;
  throw new Error(`'${command.text}' lacks ${option}=`);
};

export const unknown = (command: Command): never => {
  throw new Error(`No command '${command.text}'`);
};

const parsed = (text: string): Command => {
  const [name = '', ...rest] = text.split(/\s+/);
  const words = rest.filter((word) => !/[=:]/.test(word));
  const positions = rest
    .filter((word) => /^[^=]+:\d+$/.test(word))
    .map((word) => {
      const [origin = '', at = '0'] = word.split(':');
      return { origin: originNamed(origin), at: Number(at) };
    });
  const options = new Map(
    rest.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]),
  );
  return { name, words, positions, options, text };
};

const answer = (scene: Scene, command: string): string =>
  scene(parsed(command))
    .map((line) => `${line}\n`)
    .join('');

const parse = (text: string): { preamble: string; scenarios: Scenario[] } => {
  const [preamble = '', ...parts] = text.split(/^== /m);
  return { preamble, scenarios: parts.map(parseScenario) };
};

const parseScenario = (text: string): Scenario => {
  const [head = '', ...parts] = text.split(/^> /m);
  const [title = ''] = head.split('\n');
  const steps = parts.map((part) => {
    const [command = '', ...lines] = part.split('\n');
    const answered = lines.filter((line) => line !== '');
    return { command, expected: answered.map((line) => `${line}\n`).join('') };
  });
  const isKnownFault = title.startsWith(KNOWN_FAULT);
  return {
    title: isKnownFault ? title.slice(KNOWN_FAULT.length) : title,
    isKnownFault,
    head: head.trimEnd(),
    steps,
  };
};

const rewrittenFile = (text: string, startScene: () => Scene): string => {
  const { preamble, scenarios } = parse(text);
  const answered = scenarios.map((scenario) => rewritten(scenario, startScene));
  return `${(preamble + answered.join('')).trimEnd()}\n`;
};

const rewritten = (scenario: Scenario, startScene: () => Scene): string => {
  const scene = startScene();
  const steps = scenario.steps.map(({ command, expected }) => {
    const actual = answer(scene, command);
    return `> ${command}\n${scenario.isKnownFault ? expected : actual}`;
  });
  return `== ${scenario.head}\n${steps.join('')}\n`;
};
