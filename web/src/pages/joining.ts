/** How machines of each kind join: the one line, and what has to be there. Pure. */
import { shellWord } from "../actions/target";

export interface Way {
  id: "linux" | "macos" | "container" | "chromebook";
  title: string;
  /** Before the line. */
  words: string;
  line(url: string, token: string): string;
  /** Behind it. */
  more: string;
  /** Another line, without the token, which it asks for: a shell keeps what is typed in its history. */
  asking(url: string): string;
  /** What comes first there, where it has not been done yet. */
  first: readonly First[];
}

/** IPv6's own, and IPv4's written as IPv6: 127.0.0.0/8 and 0.0.0.0. */
const OWN_V6 = /^\[::(1?|ffff:(7f[\da-f]{2}:[\da-f]{1,4}|0:0))\]$/;

/**
 * Whether an address leads each machine to itself, so that no other reaches this one by it. `hostname`: as URL and
 * location write it, which is in one way only: `127.0.0.1` for `127.1`, `[::ffff:7f00:1]` for `[::ffff:127.0.0.1]`.
 */
export function leadsToItself(hostname: string): boolean {
  return /^((.+\.)?localhost\.?|127(\.\d+){3}|0\.0\.0\.0)$/.test(hostname) || OWN_V6.test(hostname);
}

/** What makes Nexus reachable from another machine. */
export const LISTENING = "omnitide up --listen 0.0.0.0 --public-name NAME";

export interface First {
  words: string;
  line: string;
}

// The token is in no argument: those are shown to everybody on the machine in its list of processes. `echo` is no process.
const join = (url: string, token: string) => `echo ${token} | omnitide join ${shellWord(url)} --token -`;
/** Without the token, which is asked for and shown nowhere. */
const asking = (url: string) => `omnitide join ${shellWord(url)} --token -`;
const contained = (url: string, token: string) => `OMNITIDE_JOIN_TOKEN=${token} ${container(url)}`;
const containedAsking = (url: string) =>
  `read -rs OMNITIDE_JOIN_TOKEN && export OMNITIDE_JOIN_TOKEN && ${container(url)}; unset OMNITIDE_JOIN_TOKEN`;
const container = (url: string) =>
  "docker run --detach --init --restart unless-stopped --name omnitide-node --volume omnitide-node:/var/lib/omnitide " +
  `--env OMNITIDE_JOIN_TOKEN omnitide-node ${shellWord(url)}`;

export const BUILD = "docker build -t omnitide-node -f deploy/container/Dockerfile .";

const IMAGE: readonly First[] = [{ words: "The image is made once, in a checkout of Omnitide:", line: BUILD }];

/** As docs/how-to/install.md has it. */
export const PACKAGE: readonly First[] = [
  {
    words: "There is no release in an index yet. Build the package once, where you ran make up:",
    line: ".venv/bin/pip wheel --no-deps --no-build-isolation -w dist .",
  },
  { words: "Take it to the machine:", line: "scp dist/omnitide-*.whl other:" },
  {
    words: "Install it there, with Python 3.11 or later (on Debian python3-venv comes first):",
    line: "python3 -m venv ~/omnitide && ~/omnitide/bin/pip install ./omnitide-*.whl && export PATH=~/omnitide/bin:$PATH",
  },
];

export const WAYS: readonly Way[] = [
  {
    id: "linux",
    title: "Linux",
    words: "In a terminal of the machine, where Omnitide is installed:",
    line: join,
    more: "The token is in no list of processes there.",
    asking,
    first: PACKAGE,
  },
  {
    id: "macos",
    title: "macOS",
    words:
      "What runs on nodes runs on Linux. A Mac joins by the Linux that Docker Desktop, OrbStack, Colima or Podman keeps on it; in a terminal of the Mac:",
    line: contained,
    asking: containedAsking,
    more: "Its cores and memory are those that were given to that Linux.",
    first: IMAGE,
  },
  {
    id: "container",
    title: "Container",
    words: "On any machine with Docker, or Podman under that name. The node's identity is in the volume:",
    line: contained,
    asking: containedAsking,
    more: "The token is in the environment, and in no list of processes there.",
    first: IMAGE,
  },
  {
    id: "chromebook",
    title: "Chromebook",
    words:
      "Turn on Linux: Settings, About ChromeOS, Developers, Linux development environment. In its Terminal, where Omnitide is installed:",
    line: join,
    asking,
    more: "That Linux sleeps with the lid: the node is then away, and its instances are replaced or awaited as each agent says.",
    first: PACKAGE,
  },
];
