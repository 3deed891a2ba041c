/** What a new agent begins with: something that runs, and says what it does. */
import type { Form } from "./lines";

const TEMPLATES: Record<Form, string> = {
  yaml: `name: hello
replicas: 1
command: [python3, -m, http.server, "\${PORT_HTTP}"]
ports:
  http: {}
resources:
  cpu: 0.1
  memory: 32MiB
`,
  toml: `name = "hello"
replicas = 1
command = ["python3", "-m", "http.server", "\${PORT_HTTP}"]
ports = { http = {} }
resources = { cpu = 0.1, memory = "32MiB" }
`,
};

const NAME = "hello";

/** `hello`, and where that is taken `hello-2`: what a new agent begins with is not to change one that there is. */
export function template(form: Form, taken: ReadonlySet<string>): string {
  let name = NAME;
  for (let number = 2; taken.has(name); number += 1) name = `${NAME}-${number}`;
  return TEMPLATES[form].replace(NAME, name);
}
