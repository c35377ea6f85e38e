import { absolute, useRelative } from "../lib/time";

/** `4 m ago`, and on hover when exactly, with the zone. */
export function When({ at }: { at: string }) {
  const words = useRelative(at);
  return (
    <time dateTime={at} title={absolute(at)}>
      {words}
    </time>
  );
}

/** When exactly, and how long ago beside it. */
export function Moment({ at }: { at: string }) {
  const words = useRelative(at);
  return (
    <time dateTime={at}>
      {absolute(at)} <span className="text-ink3">· {words}</span>
    </time>
  );
}
