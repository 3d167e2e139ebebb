import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromUrl } from "./index.ts";

const content = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 7) % 253);
let server: Server;
let base: string;
let requests: string[] = [];
let tag = "one";

function answer(request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const path = request.url ?? "";
  requests.push(`${path} ${range?.[0] ?? "whole"}`);
  response.setHeader("etag", tag);
  if (path === "/missing") return void response.writeHead(404).end();
  if (path === "/broken") return void response.writeHead(503).end();
  if (path === "/empty") return void response.writeHead(range ? 416 : 200).end();
  if (path === "/cut") {
    response.writeHead(200, { "content-length": content.length });
    return void response.write(content.subarray(0, 1000), () => response.destroy());
  }
  if (path === "/unsized") return void response.writeHead(200).write(content, () => response.end());
  if (path === "/hidden" && range) return void response.writeHead(206).end(content.subarray(0, 65_536));
  if (path !== "/ranged" || !range)
    return void response.writeHead(200, { "content-length": content.length }).end(content);
  const [from, to] = [Number(range[1]), Math.min(Number(range[2]), content.length - 1)];
  response.writeHead(206, { "content-range": `bytes ${from}-${to}/${content.length}` });
  response.end(content.subarray(from, to + 1));
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe("fromUrl", () => {
  it("asks for ranges where the server serves them", async () => {
    requests = [];
    const source = await fromUrl(`${base}/ranged`);
    expect(source.size).toBe(200_000);
    expect(await source.read(8, 12)).toEqual(content.slice(8, 12));
    expect(await source.read(100_000, 150_000)).toEqual(content.slice(100_000, 150_000));
    expect(requests).toEqual(["/ranged bytes=0-65535", "/ranged bytes=100000-149999"]);
    await source.close();
  });

  it.each(["/whole", "/unsized", "/hidden"])("streams one body where it does not: %s", async (path) => {
    requests = [];
    const source = await fromUrl(base + path);
    expect(source.size).toBe(200_000);
    const [head, late, early] = await Promise.all([
      source.read(0, 100),
      source.read(150_000, 200_000),
      source.read(100, 150_000),
    ]);
    expect(head).toEqual(content.slice(0, 100));
    expect(late).toEqual(content.slice(150_000));
    expect(early).toEqual(content.slice(100, 150_000));
    const once = requests.length;
    expect(once).toBe(path === "/hidden" ? 2 : 1);
    // These bytes were given out and dropped: the body is asked for again.
    expect(await source.read(10, 20)).toEqual(content.slice(10, 20));
    expect(requests.length).toBe(once + 1);
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "invalid-state" });
  });

  it("opens an empty file", async () => {
    expect((await fromUrl(`${base}/empty`)).size).toBe(0);
  });

  it("names the URL and the status of what fails", async () => {
    await expect(fromUrl(`${base}/missing`)).rejects.toThrow(
      `${base}/missing must be there, got "404 or 410"`,
    );
    await expect(fromUrl(`${base}/broken`)).rejects.toThrow(
      `${base}/broken: the answer must be 200 or 206, got 503`,
    );
    await expect(fromUrl("http://127.0.0.1:1/")).rejects.toMatchObject({ code: "io" });
    const cut = await fromUrl(`${base}/cut`);
    await expect(cut.read(0, 200_000)).rejects.toMatchObject({ code: "io" });
  });

  it("refuses to mix two versions of a file", async () => {
    const source = await fromUrl(`${base}/ranged`);
    tag = "two";
    await expect(source.read(100_000, 100_010)).rejects.toThrow("must come from the file that was opened");
    tag = "one";
  });

  it("rejects with the reason of an abort", async () => {
    const controller = new AbortController();
    const source = await fromUrl(`${base}/ranged`, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(source.read(100_000, 100_010)).rejects.toThrow("enough");
  });

  it("uses the fetch that it is given", async () => {
    const source = await fromUrl("https://example.org/a", { fetch: async () => new Response("four") });
    expect(await source.read(1, 3)).toEqual(new TextEncoder().encode("ou"));
  });
});
