// Run tests/js/cases.py in Pyodide: node run.mjs PYODIDE ARCHIVE FIRST COUNT; prints JSON.
import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { hashes } from "./hashes.mjs";

const [folder, archive, first, count] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`).href);
const bytes = (path) => new Uint8Array(readFileSync(path)).buffer;
const wheel = readdirSync(folder).find((name) => name.startsWith("msgspec-"));
const archives = [bytes(`${folder}/${wheel}`), bytes(archive)];
try {
  console.log(JSON.stringify(await hashes(await loadPyodide(), archives, Number(first), Number(count))));
} catch (error) {
  console.error(error.message); // node would print the source of Pyodide around it
  process.exit(1);
}
