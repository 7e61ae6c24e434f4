/** A few seconds of scripts/fuzz.ts: no bytes make a reader do anything but read or refuse, and none of them stay. */
import test from 'ava';
import { MIB } from '../../protocol/limits.js';
import { drawing, mutated } from '../support/fuzzBytes.js';
import { fuzz, FuzzFailure, type FuzzTarget } from '../support/fuzzRun.js';
import { openTarget, TARGET_NAMES } from '../support/fuzzTargets.js';

/** Readers that check signatures are slower. */
const INPUTS = { csr: 1_500, certificate: 4_000, crl: 4_000, ocsp: 4_000 };
const INPUTS_OTHERWISE = 15_000;
const GROWTH_BYTES_MAX = 16 * MIB;

for (const name of TARGET_NAMES)
  test.serial(`${name}: every input is read or refused, and nothing stays of it`, async (t) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    t.log(`seed ${seed}`);
    const inputs = name in INPUTS ? INPUTS[name as keyof typeof INPUTS] : INPUTS_OTHERWISE;
    const report = await fuzz(await openTarget(name), { seed, inputs });
    t.is(report.inputs, inputs);
    t.true(report.mutations / inputs >= 0.5, 'at least half are changes of valid inputs');
    t.true(report.headers / inputs > 0.2, `${report.headers} pass the header check`);
    t.true(report.accepted > 0, 'some are read');
    t.true(report.refusals.size > 0, 'some are refused');
    t.true(report.heapBytesAfter - report.heapBytesBefore < GROWTH_BYTES_MAX);
  });

const careless = (read: (input: Buffer) => unknown): FuzzTarget => ({
  name: 'careless',
  valid: [Buffer.from('valid')],
  passesHeader: () => true,
  read,
  refusalOf: () => undefined,
});

test.serial('a reader that throws what it may not is found, with the input', async (t) => {
  const failure = await t.throwsAsync(
    fuzz(
      careless((input) => {
        if (input.length > 5) throw new TypeError('oh');
      }),
      { seed: 1, inputs: 1_000 },
    ),
    { instanceOf: FuzzFailure, message: /careless, input \d+ .*TypeError: oh/s },
  );
  t.true((failure?.input.length ?? 0) > 5);
});

test.serial('a reader that changes what all objects have is found', async (t) => {
  const polluting = careless((input) => {
    if (input.length > 5) (Object.prototype as Record<string, unknown>)['polluted'] = true;
  });
  await t.throwsAsync(fuzz(polluting, { seed: 1, inputs: 1_000 }), { message: /polluted/ });
  delete (Object.prototype as Record<string, unknown>)['polluted'];
});

test('the same seed draws the same inputs', (t) => {
  const [one, other] = [drawing(7), drawing(7)];
  const valid = Buffer.from('a valid input');
  for (let count = 0; count < 500; count++)
    t.deepEqual(mutated(one, valid, valid), mutated(other, valid, valid));
  t.notDeepEqual(mutated(drawing(8), valid, valid), mutated(drawing(9), valid, valid));
});
