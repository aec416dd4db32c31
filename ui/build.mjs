// Bundles src/index.ts into one ES module, with the licences of all that went into it: the same bytes every time.
// node build.mjs [OUT]; OUT is the package's own folder unless another is named.

import { readFile, readdir, writeFile, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../src/rain_debug/view/static"));

/** A stylesheet is imported as its text, minified: the module adopts it in its shadow root. */
const styles = {
  name: "styles",
  setup(bundler) {
    bundler.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code, loader: "text" };
    });
  },
};

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/index.ts"],
  outfile: join(out, "rain.js"),
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  charset: "ascii",
  legalComments: "none",
  preserveSymlinks: true,
  alias: { vega: "./src/chart/vega.js" },
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  write: false,
  plugins: [styles],
});

/** The licence text of every package of which something is in the bundle, by name. */
async function licences(inputs) {
  const names = new Set();
  for (const path of inputs) {
    const found = path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) names.add(found[1]);
  }
  const parts = [];
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).sort().find((each) => /^licen[cs]e/i.test(each));
    if (!file) throw new Error(`${name} ${about.version} brings no licence text: it cannot be shipped`);
    const text = (await readFile(join(folder, file), "utf8")).replaceAll("\r\n", "\n").trim();
    parts.push(`${name} ${about.version} (${about.license})\n\n${text}\n`);
  }
  return `rain.js contains the packages below, under these licences.\n\n${parts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

await mkdir(out, { recursive: true });
await writeFile(join(out, "LICENSES.txt"), await licences(Object.keys(metafile.inputs)));
await writeFile(join(out, "rain.js"), outputFiles[0].contents);
console.log(`rain.js ${(outputFiles[0].contents.length / 1000).toFixed(0)} kB`);
