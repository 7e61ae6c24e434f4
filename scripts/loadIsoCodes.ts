/**
 * `node dist/scripts/loadIsoCodes.js --url http://127.0.0.2:9925 --username admin --password ...`: makes tables of real
 * data, the countries, their parts, languages and currencies of Debian's iso-codes, to have something to look at.
 * Run by hand; the tests use `isoTables` too. Exit code 1 when the package is missing or the node refuses.
 */
import { parseArgs } from 'node:util';
import { sendOperation } from '../server/cli/client.js';
import { isoTables, loadIsoTable } from '../tests/support/isoCodes.js';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:9925' },
      username: { type: 'string' },
      password: { type: 'string' },
    },
  });
  for (const table of await isoTables()) {
    await loadIsoTable(table, (operation) => sendOperation(values, operation));
    console.log(`${table.name}: ${table.records.length} records`);
  }
};

await main();
