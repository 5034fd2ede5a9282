// What tests/js/cases.py comes to in a Pyodide, in node and in browsers.

/** archives: ArrayBuffers of wheels or zips that are unpacked where Python finds them. */
export async function hashes(pyodide, archives, first, count) {
  await pyodide.loadPackage("numpy", { messageCallback() {} });
  for (const archive of archives) pyodide.unpackArchive(archive, "zip");
  const began = performance.now();
  const found = pyodide.runPython(`from cases import hashes; hashes(${first}, ${count})`).toJs();
  return { hashes: found, seconds: (performance.now() - began) / 1000 };
}
