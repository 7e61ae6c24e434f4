/**
 * `node dist/scripts/configTable.js`: prints the two parts of docs/CONFIGURATION.md that come from the schema, with the
 * marks they stand between. Run by hand after a change of config/schema.ts; a test says when the page is behind.
 * Changes no file.
 */
import { renderForeignKeys, renderKeyTable } from '../config/keyTable.js';

const marked = (name: string, text: string): string =>
  `<!-- ${name} -->\n\n${text}\n\n<!-- end of ${name} -->`;

console.log(marked('keys', renderKeyTable()));
console.log();
console.log(marked('keys without effect', renderForeignKeys()));
