// node check.mjs [FOLDER]: makes each dashboard of the folder a constant of the type Board, and lets
// the compiler say what is wrong with it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, '../dashboards'));
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
if (names.length === 0) {
  console.error(`no dashboards in ${folder}`);
  process.exit(2);
}
const made = mkdtempSync(join(here, 'made-'));
try {
  for (const name of names) {
    // Parsed, so that what is no JSON fails here.
    const text = JSON.stringify(JSON.parse(readFileSync(join(folder, name), 'utf8')), null, 1);
    const code = `import type { Board } from '../board';\nexport const board: Board = ${text};\n`;
    writeFileSync(join(made, name.replace(/\.json$/, '.ts')), code);
  }
  const settings = { extends: '../tsconfig.json', include: ['*.ts'] };
  writeFileSync(join(made, 'tsconfig.json'), JSON.stringify(settings));
  const tsc = join(here, 'node_modules/typescript/bin/tsc');
  const done = spawnSync(process.execPath, [tsc, '--project', made], { stdio: 'inherit' });
  process.exitCode = done.status === 0 ? 0 : 1;
} finally {
  rmSync(made, { recursive: true });
}
