import { Link } from "@tanstack/react-router";
import { Empty } from "../ui/Empty";
import { PageHead } from "../ui/Page";
import { FIRST_PATH } from "./screens";

export function NotFound() {
  return (
    <>
      <PageHead title="Not found" />
      <Empty title="There is no such page">
        <p>The address may be of another version, or mistyped.</p>
        <Link to={FIRST_PATH} className="text-tide-ink underline">
          Go to the first page
        </Link>
      </Empty>
    </>
  );
}
