/** A row's use against what it asked for: a figure with a bar, and the last two minutes as a line. */
import { pastRevision, USE_OF_NOW } from "../past/when";
import { bytes, cores } from "../words/format";
import { Meter } from "./Meter";
import { Spark } from "./Spark";
import type { Column } from "./Table";
import type { Use } from "./use";
import { isOver, useWords } from "./useWords";

interface Asking {
  cpu_milli?: number;
  memory_bytes?: number;
}

/**
 * What is asked for is of one instance; several have so much together. `running`: how many a row is of, where that is
 * not known by their samples, as in the past.
 */
export function useColumns<T extends Asking>(
  use: (row: T) => Use | undefined,
  running: (row: T) => number = () => 1,
): readonly Column<T>[] {
  const times = (row: T) => use(row)?.instances || running(row) || 1;
  const cpu = (row: T) => (row.cpu_milli ?? 0) * times(row);
  const memory = (row: T) => (row.memory_bytes ?? 0) * times(row);
  return [
    {
      id: "use",
      title: "CPU used",
      width: 132,
      grow: 0.7,
      rank: 2,
      cell: (row) => <Used label="CPU" used={use(row)?.cpuMilli} whole={cpu(row)} form={cores} of={use(row)} />,
    },
    {
      id: "line",
      title: "Last 2 min",
      width: 88,
      rank: 2,
      cell: (row) => <Spark load={use(row)} whole={cpu(row)} />,
    },
    {
      id: "memory-use",
      title: "Memory used",
      width: 150,
      grow: 0.7,
      rank: 4,
      cell: (row) => (
        <Used label="Memory" used={use(row)?.memoryBytes} whole={memory(row)} form={bytes} room={100} of={use(row)} />
      ),
    },
  ];
}

interface UsedProps {
  label: string;
  used: number | undefined;
  /** 0: nothing was asked for. */
  whole: number;
  form(value: number): string;
  room?: number;
  of: Use | undefined;
}

function Used(props: UsedProps) {
  const text = () => {
    const used = props.used === undefined ? "–" : props.form(props.used);
    return props.whole ? `${used} / ${props.form(props.whole)}` : used;
  };
  const told = () => {
    if (props.used === undefined) return pastRevision() ? USE_OF_NOW : "use not known";
    return useWords(props.used, props.whole, props.form, props.of?.instances ?? 1);
  };
  return (
    <Meter
      label={props.label}
      whole={props.whole}
      used={props.used}
      over={isOver(props.used, props.whole)}
      told={told()}
      text={text()}
      room={props.room ?? 76}
    />
  );
}
