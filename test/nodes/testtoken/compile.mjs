// SPDX-License-Identifier: Apache-2.0
// Writes TestToken.json (ABI, creation bytecode, compiler, settings, hash of the source) from TestToken.sol.
// Run in an empty folder after `npm install solc@0.8.37`:  node compile.mjs /path/to/testtoken
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = process.argv[2] ?? '.';
const solc = createRequire(join(process.cwd(), 'noop.js'))('solc');
const source = readFileSync(join(folder, 'TestToken.sol'), 'utf8');
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'cancun',
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};
const output = JSON.parse(solc.compile(JSON.stringify({
  language: 'Solidity',
  sources: { 'TestToken.sol': { content: source } },
  settings: { ...settings, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
})));
for (const e of output.errors ?? []) console.error(e.formattedMessage);
if ((output.errors ?? []).some((e) => e.severity === 'error')) process.exit(1);
const made = output.contracts['TestToken.sol'].TestToken;
writeFileSync(join(folder, 'TestToken.json'), JSON.stringify({
  compiler: 'solc ' + solc.version(),
  settings,
  sourceSHA256: createHash('sha256').update(source).digest('hex'),
  abi: made.abi,
  bytecode: '0x' + made.evm.bytecode.object,
}, null, 1) + '\n');
