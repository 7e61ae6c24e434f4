/**
 * Names of nodes: one spelling per node, and none that could be mistaken for something else.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { SkeinError } from '../../protocol/errors.js';
import {
  canonicalAddress,
  canonicalNodeName,
  hostForUrl,
  isLoopbackAddress,
} from '../../protocol/nodeNames.js';

const SPELLINGS: readonly (readonly [string, string])[] = [
  ['Server-Two', 'server-two'],
  ['server-two.example.com.', 'server-two.example.com'],
  ['127.0.0.2', '127.0.0.2'],
  ['::ffff:127.0.0.2', '127.0.0.2'],
  ['::FFFF:7f00:2', '127.0.0.2'],
  ['[::1]', '::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1234', '1234'],
  ['node_7', 'node_7'],
  ['Münster', 'xn--mnster-3ya'],
];

for (const [spelling, name] of SPELLINGS) {
  test(`the node name ${spelling} is ${name}`, (t) => {
    t.is(spelled(spelling), name);
  });
}

const NO_NAMES: readonly (readonly [string, string])[] = [
  ['', 'it is empty'],
  ['.', 'it is empty'],
  ['..', 'a part between its dots is empty'],
  ['../x', 'it contains "/"'],
  ['/etc/x', 'it contains "/"'],
  ['a#b', 'it contains "#"'],
  ['a b', 'it contains " "'],
  ['a\u0000b', 'it contains "\\u0000"'],
  ['a\nb', 'it contains "\\n"'],
  ['ä#b', 'it contains "ä"'],
  ['a:1', 'it contains ":"'],
  ['127.2', 'it is no complete IPv4 address'],
  ['127.0.0.02', 'it is no complete IPv4 address'],
  ['256.0.0.1', 'it is no complete IPv4 address'],
  ['fe80::1%eth0', 'it contains ":"'],
  ['x'.repeat(251), 'it is longer than 250 characters'],
];

for (const [text, problem] of NO_NAMES) {
  test(`${JSON.stringify(text.slice(0, 20))} is no node name because ${problem}`, (t) => {
    const error = t.throws(() => canonicalNodeName(text), { instanceOf: SkeinError });
    t.is(error?.code, 'INVALID_REQUEST');
    t.is(error?.message, `${JSON.stringify(text.slice(0, 250))} is no node name: ${problem}`);
  });
}

test('a name of 250 characters is a name', (t) => {
  const name = `${'x'.repeat(240)}.${'y'.repeat(9)}`;
  t.is(spelled(name), name);
});

test('a canonical name stays as it is, whatever it was made from', (t) => {
  const texts = fc.oneof(
    fc.string(),
    fc.domain(),
    fc.ipV4(),
    fc.ipV6(),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const name = nameOrUndefined(text);
      if (name === undefined) return;
      t.is(spelled(name), name);
      t.notRegex(name, /[#/\s]/);
    }),
    { numRuns: 500 },
  );
});

test('every IP address of a socket has the name that configuration gives it', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      t.is(canonicalAddress(address), spelled(address));
    }),
    { numRuns: 500 },
  );
});

test('the address of a socket is read without failing, its zone kept', (t) => {
  t.is(canonicalAddress('::ffff:127.0.0.2'), '127.0.0.2');
  t.is(canonicalAddress('FE80:0::1%eth0'), 'fe80::1%eth0');
  t.is(canonicalAddress('other'), 'other');
});

test('loopback is 127.0.0.0/8 and ::1, and no name', (t) => {
  const loopback = ['127.0.0.1', '127.255.0.9', '::1'];
  const others = ['128.0.0.1', '127.example.com', 'localhost', '::2', '127.0.0'];
  t.deepEqual([...loopback, ...others].filter(isLoopbackAddress), loopback);
});

test('IPv6 stands in brackets within a URL', (t) => {
  t.is(hostForUrl('::1'), '[::1]');
  t.is(hostForUrl('a.b'), 'a.b');
});

const spelled = (text: string): string => canonicalNodeName(text);

function nameOrUndefined(text: string): string | undefined {
  try {
    return canonicalNodeName(text);
  } catch (error) {
    if (error instanceof SkeinError) return undefined;
    throw error;
  }
}
