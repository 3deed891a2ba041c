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

export default defineConfig({
  plugins: [solid(), notices(), packed()],
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
