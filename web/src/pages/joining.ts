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
}

const join = (url: string, token: string) => `omnitide join ${shellWord(url)} --token ${token}`;
const contained = (url: string, token: string) =>
  "docker run --detach --init --restart unless-stopped --name omnitide-node --volume omnitide-node:/var/lib/omnitide " +
  `--env OMNITIDE_JOIN_TOKEN=${token} omnitide-node ${shellWord(url)}`;

export const BUILD = "docker build -t omnitide-node -f deploy/container/Dockerfile .";

export const WAYS: readonly Way[] = [
  {
    id: "linux",
    title: "Linux",
    words: "In a terminal of the machine, where Omnitide is installed:",
    line: join,
    more: "With --token - it asks for the token instead, which is then in no list of processes.",
  },
  {
    id: "macos",
    title: "macOS",
    words:
      "What runs on nodes runs on Linux. A Mac joins by the Linux that Docker Desktop, OrbStack, Colima or Podman keeps on it; in a terminal of the Mac:",
    line: contained,
    more: "Its cores and memory are those that were given to that Linux. The image is made once, in a checkout of Omnitide:",
  },
  {
    id: "container",
    title: "Container",
    words: "On any machine with Docker, or Podman under that name. The node's identity is in the volume:",
    line: contained,
    more: "The image is made once, in a checkout of Omnitide:",
  },
  {
    id: "chromebook",
    title: "Chromebook",
    words:
      "Turn on Linux: Settings, About ChromeOS, Developers, Linux development environment. In its Terminal, where Omnitide is installed:",
    line: join,
    more: "That Linux sleeps with the lid: the node is then away, and its instances are replaced or awaited as each agent says.",
  },
];
