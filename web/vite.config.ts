import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import solid from "vite-plugin-solid";

const ROOT = dirname(fileURLToPath(import.meta.url));
const PACKED = new Set([".js", ".css", ".html", ".svg", ".md", ".webmanifest"]);
const LEAST_PACKED = 1024;
/** Bundled as files, not as modules, so that Vite does not see whose they are. */
/** Of public/, and the page itself. */
const SHELL = ["/", "/first.js", "/icon.svg"];
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

/** The service worker, which is told what a first look needs; its version is a digest of all that was built. */
function worker(): Plugin {
  return {
    name: "worker",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const entry = Object.values(bundle).find((one) => one.type === "chunk" && one.isEntry);
        if (entry?.type !== "chunk") this.error("there is no entry to keep for when Nexus is away");
        const needed = new Set<string>();
        const take = (name: string) => {
          const chunk = bundle[name];
          if (needed.has(name) || chunk?.type !== "chunk") return;
          needed.add(name);
          for (const style of chunk.viteMetadata?.importedCss ?? []) needed.add(style);
          chunk.imports.forEach(take);
        };
        take(entry.fileName);
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
  plugins: [solid(), notices(), worker(), packed()],
  build: {
    target: "es2023",
    license: { fileName: "licenses.md" },
    // Inlined data would need a wider policy than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { host: "127.0.0.1" },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
