import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin, type Rolldown } from "vite";
import solid from "vite-plugin-solid";

const ROOT = dirname(fileURLToPath(import.meta.url));
/** Of the map, which is the home page. */
const COMPILED_AHEAD = new Set(["MapPage", "scene", "shared"]);
const PACKED = new Set([".js", ".css", ".html", ".svg", ".md", ".webmanifest"]);
const LEAST_PACKED = 1024;
/** Of public/, and the page itself. */
const SHELL = ["/", "/first.js", "/icon.svg"];
/** Bundled as files, not as modules, so that Vite does not see whose they are. */
const ALSO_BUNDLED = ["@fontsource-variable/inter"];

/** Each text beside itself in brotli and gzip, so that Nexus packs nothing while it serves. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    enforce: "post",
    closeBundle() {
      const out = join(ROOT, "dist");
      for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || !PACKED.has(extname(path))) continue;
        const body = readFileSync(path);
        if (body.length < LEAST_PACKED) continue;
        writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
        writeFileSync(`${path}.br`, brotliCompressSync(body, { params }));
      }
    },
  };
}

/** Lucide's icons are made by src/icons/Icon.ts. */
function icons(): Plugin {
  return {
    name: "icons",
    enforce: "pre",
    resolveId(source, importer) {
      const own = /\/lucide-solid\/dist\/source\/icons\//.test(importer ?? "") && source === "../Icon";
      return own ? join(ROOT, "src/icons/Icon.ts") : undefined;
    },
  };
}

function svgOf(name: string): string {
  const made = readFileSync(join(ROOT, `node_modules/lucide-solid/dist/source/icons/${name}.jsx`), "utf8");
  // Its module draws as soon as it is imported, which needs a browser.
  const data = /var __iconData = (\{.*?\n\});/s.exec(made)?.[1];
  if (!data) throw new Error(`there is no icon ${name}`);
  const { node } = new Function(`return ${data}`)() as { node: [tag: string, attributes: Record<string, string>][] };
  const shapes = node.map(([tag, { key: _, ...attributes }]) => {
    const told = Object.entries(attributes).map(([attribute, value]) => ` ${attribute}="${value}"`);
    return `<${tag}${told.join("")}/>`;
  });
  return `<svg width="16" height="16" viewBox="0 0 24 24">${shapes.join("")}</svg>`;
}

/** The icons in the frame that index.html has, as src/icons/Icon.ts makes them at 16 pixels. */
function iconsOfFrame(): Plugin {
  return {
    name: "icons-of-frame",
    transformIndexHtml: {
      order: "pre",
      handler: (html) => html.replace(/<i data-icon="([a-z-]+)"><\/i>/g, (_, name: string) => svgOf(name)),
    },
  };
}

/** The notices of what is bundled, with the bundle. */
function notices(): Plugin {
  return {
    name: "notices",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const file = bundle["licenses.md"];
        if (file?.type !== "asset") this.error("the notices of bundled packages were not made");
        const more = ALSO_BUNDLED.map((name) => {
          const folder = join(ROOT, "node_modules", name);
          const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
          return `\n## ${name} - ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8")}`;
        });
        file.source = `${file.source}${more.join("\n")}`;
      },
    },
  };
}

function entryOf(bundle: Rolldown.OutputBundle): Rolldown.OutputChunk {
  for (const one of Object.values(bundle)) if (one.type === "chunk" && one.isEntry) return one;
  throw new Error("nothing that was built is the panel's beginning");
}

/** What a chunk cannot do without, itself among it. */
function neededBy(bundle: Rolldown.OutputBundle, chunk: Rolldown.OutputChunk, found = new Set<Rolldown.OutputChunk>()) {
  found.add(chunk);
  for (const name of chunk.imports) {
    const needed = bundle[name];
    if (needed?.type === "chunk" && !found.has(needed)) neededBy(bundle, needed, found);
  }
  return found;
}

/** Whether a module is another or is imported by it, at once or by what it imports. */
function isNeededBy(end: string, id: string, chunking: Rolldown.ChunkingContext, seen = new Set<string>()): boolean {
  if (id.endsWith(end)) return true;
  seen.add(id);
  const importers = chunking.getModuleInfo(id)?.importers ?? [];
  return importers.some((one) => !seen.has(one) && isNeededBy(end, one, chunking, seen));
}

/**
 * The page itself brings the style of a first look, so that it is painted as soon as it is there: a style that is asked for
 * apart comes a round trip later, or a handshake. Nexus names its digest in the page's policy (api/panel.py). And it tells
 * first.js what the map, which is the home page, is made of.
 */
function firstLook(): Plugin {
  let style = "";
  return {
    name: "first-look",
    apply: "build",
    generateBundle: {
      order: "pre",
      handler(_, bundle) {
        style = "";
        for (const chunk of neededBy(bundle, entryOf(bundle))) {
          for (const name of chunk.viteMetadata?.importedCss ?? []) {
            const file = bundle[name];
            if (file?.type !== "asset") this.error(`the style ${name} was not made`);
            style += file.source;
            delete bundle[name];
          }
          // Nothing that comes later asks for it again.
          chunk.viteMetadata?.importedCss.clear();
        }
      },
    },
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle }) {
        if (!bundle || !style) throw new Error("the page has no style");
        const map = Object.values(bundle).find((one) => one.type === "chunk" && one.name === "MapPage");
        if (map?.type !== "chunk") throw new Error("there is no page of the map");
        const first = neededBy(bundle, entryOf(bundle));
        const more = [...neededBy(bundle, map)].filter((one) => !first.has(one));
        const names = more.map((one) => `/${one.fileName}`).sort();
        // What is painted first needs no module.
        return html
          .replace('<script type="module"', '$& fetchpriority="low"')
          .replace("<script src", (script) => `<style>${style}</style>\n    ${script}`)
          .replace('src="/first.js"', (source) => `${source} data-map="${names.join(" ")}"`);
      },
    },
  };
}

/**
 * What a first look runs is compiled whole while it comes, beside the page's thread: else each of its functions would be
 * compiled on that thread when it is called first, and nearly all are. A hint that V8 obeys and others pass over.
 */
function compiledAhead(): Plugin {
  return {
    name: "compiled-ahead",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const one of Object.values(bundle)) {
          if (one.type !== "chunk" || !(one.isEntry || COMPILED_AHEAD.has(one.name))) continue;
          one.code = `//# allFunctionsCalledOnLoad\n${one.code}`;
        }
      },
    },
  };
}

/** The service worker, which is told what a first look needs; its version is a digest of all that was built. */
function worker(): Plugin {
  return {
    name: "worker",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const needed = new Set([...neededBy(bundle, entryOf(bundle))].map((chunk) => chunk.fileName));
        for (const name of Object.keys(bundle)) if (/inter-latin-wght-normal-.*\.woff2$/.test(name)) needed.add(name);
        const shell = [...SHELL, ...[...needed].sort().map((name) => `/${name}`)];
        const body = readFileSync(join(ROOT, "src/pwa/worker.js"), "utf8");
        const version = createHash("sha256").update(body);
        for (const [name, file] of Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1))) {
          version.update(name);
          if (file.type === "asset" && name.endsWith(".html")) version.update(file.source);
        }
        for (const name of SHELL) if (name !== "/") version.update(readFileSync(join(ROOT, "public", name)));
        const told = `const VERSION = "${version.digest("hex").slice(0, 16)}";\nconst SHELL = ${JSON.stringify(shell)};\n`;
        this.emitFile({ type: "asset", fileName: "sw.js", source: told + body });
      },
    },
  };
}

export default defineConfig({
  plugins: [solid(), icons(), iconsOfFrame(), notices(), firstLook(), compiledAhead(), worker(), packed()],
  build: {
    target: "es2023",
    license: { fileName: "licenses.md" },
    // Inlined data would need a wider policy than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { pluginTimings: false },
      output: {
        codeSplitting: {
          groups: [
            // What a first look needs is one file, and what the map has in common with pages that come later another: over
            // HTTP/1.1 each file more is a round trip more, or a handshake.
            { name: "index", tags: ["$initial"], priority: 2 },
            {
              name: (id, chunking) => (isNeededBy("/map/MapPage.tsx", id, chunking) ? "shared" : null),
              test: /\/src\//,
              minShareCount: 2,
              priority: 1,
            },
          ],
        },
      },
    },
  },
  server: { host: "127.0.0.1" },
  // Without a thread of its own for each file, of which starting takes most of the time.
  test: { include: ["src/**/*.test.ts"], environment: "node", isolate: false },
} as Parameters<typeof defineConfig>[0]);
