import { afterEach, describe, expect, it, vi } from "vitest";
import { api, onSignedOut } from "./client";
import { asProblem, nextStep, type Problem } from "./problem";

const answer = (status: number, body: string, type = "application/problem+json") =>
  vi.stubGlobal(
    "fetch",
    vi.fn(async () => new Response(body, { status, headers: { "content-type": type } })),
  );

const thrown = async (call: Promise<unknown>): Promise<Problem> =>
  call.then(
    () => {
      throw new Error("it should have failed");
    },
    (error: unknown) => asProblem(error),
  );

afterEach(() => vi.unstubAllGlobals());

describe("failures", () => {
  it("throws problem details as they came", async () => {
    const details = {
      type: "/problems/not_found",
      title: "Not found",
      status: 404,
      code: "not_found",
      detail: "there is no job with this id",
      request_id: "req_1",
    };
    answer(404, JSON.stringify(details));
    const problem = await thrown(api.GET("/v1/jobs/{id}", { params: { path: { id: "job_x" } } }));
    expect(problem).toMatchObject({ status: 404, code: "not_found", title: "Not found", requestId: "req_1" });
    expect(problem.message).toBe("there is no job with this id");
    expect(nextStep(problem)).toMatch(/another tenant/);
  });

  it("tells a proxy's page from an answer of ours", async () => {
    answer(502, "<html>bad gateway</html>", "text/html");
    const problem = await thrown(api.GET("/v1/me"));
    expect(problem).toMatchObject({ status: 502, code: "foreign_answer" });
  });

  it("says when nobody answers", async () => {
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => Promise.reject(new TypeError("failed to fetch"))),
    );
    expect(await thrown(api.GET("/v1/me"))).toMatchObject({ status: 0, code: "unreachable" });
  });

  it("tells of a session that ended, not of a wrong key", async () => {
    const over = vi.fn();
    const forget = onSignedOut(over);
    answer(401, JSON.stringify({ status: 401, code: "unauthenticated", detail: "no" }));
    await thrown(api.POST("/v1/session", { headers: { authorization: "Bearer x" } }));
    expect(over).not.toHaveBeenCalled();
    await thrown(api.POST("/v1/session/link", { body: { link: "ofp_link_x" } }));
    expect(over).not.toHaveBeenCalled();
    await thrown(api.GET("/v1/me"));
    expect(over.mock.calls).toEqual([[false]]);
    await thrown(api.GET("/v1/operator/overview"));
    expect(over.mock.calls).toEqual([[false], [true]]);
    forget();
  });
});
