// Walks through the API with openapi-fetch and the types that openapi-typescript generates.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { baseUrl, check, pause, same, start } from "./check";

type ItemDetail = components["schemas"]["ItemDetail"];
const email = "fetch@example.org";
const password = "correct horse battery";
const client = createClient<paths>({ baseUrl });
let token = "";
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
  },
});

/** Make an account and sign in; a refusal has a type, too. */
async function signIn(): Promise<string> {
  const refused = await client.POST("/api/v1/users", { body: { email, password: "short" } });
  check(refused.error, refused);
  same([refused.error.status, refused.error.code], [422, "validation_error"]);
  same(refused.error.errors.map((fault) => fault.field), ["password"]);
  await client.POST("/api/v1/users", { body: { email, password } });
  const { data: tokens, error } = await client.POST("/api/v1/auth/login", {
    body: { email, password, transport: "body" },
  });
  check(tokens?.refresh_token, error);
  token = tokens.access_token;
  return tokens.refresh_token;
}

/** Create an item twice under one key: it is there once. */
async function create(): Promise<ItemDetail> {
  const header = { "Idempotency-Key": crypto.randomUUID() };
  const request = { params: { header }, body: { title: "Sextant" } };
  const { data: item, error } = await client.POST("/api/v1/items", request);
  const again = await client.POST("/api/v1/items", request);
  check(item, error);
  same(again.data, item);
  same(again.response.headers.get("Idempotent-Replayed"), "true");
  return item;
}

/** The titles of all items, page by page. */
async function* titles(): AsyncGenerator<string> {
  let query: { limit: number; sort: string[]; cursor?: string } = { limit: 2, sort: ["title"] };
  for (;;) {
    const { data: page, error } = await client.GET("/api/v1/items", { params: { query } });
    check(page && "next_cursor" in page, error);
    yield* page.items.map((item) => item.title);
    if (page.next_cursor === null) return;
    query = { ...query, cursor: page.next_cursor };
  }
}

/** Change what nobody else has changed since, and read only what is new. */
async function change(id: string): Promise<void> {
  const path = { id };
  const body = { title: "Octant" };
  const read = await client.GET("/api/v1/items/{id}", { params: { path } });
  const header = { "If-Match": read.response.headers.get("ETag") ?? "" };
  const changed = await client.PATCH("/api/v1/items/{id}", { params: { path, header }, body });
  same(changed.data?.title, "Octant");
  const stale = await client.PATCH("/api/v1/items/{id}", { params: { path, header }, body });
  same([stale.error?.status, stale.error?.code], [412, "precondition_failed"]);
  const fresh = { "If-None-Match": changed.response.headers.get("ETag") ?? "" };
  const unchanged = await client.GET("/api/v1/items/{id}", { params: { path, header: fresh } });
  same([unchanged.response.status, unchanged.data], [304, undefined]);
}

/** Start a task and ask until it is done. */
async function followATask(): Promise<void> {
  const { data: started, error } = await client.POST("/api/v1/tasks", {
    body: { task: "demo.count", payload: { steps: 2, seconds: 0 } },
  });
  check(started, error);
  for (;;) {
    const path = { id: started.id };
    const { data: task } = await client.GET("/api/v1/tasks/{id}", { params: { path } });
    check(task);
    if (task.finished_at !== null) {
      same(task.state, "succeeded");
      return;
    }
    await pause(50);
  }
}

/** Go on with the next token, and end the session: then no token counts. */
async function signOut(refresh_token: string): Promise<void> {
  const { data: tokens, error } = await client.POST("/api/v1/auth/refresh", {
    body: { refresh_token },
  });
  check(tokens?.refresh_token, error);
  token = tokens.access_token;
  check((await client.GET("/api/v1/items")).data);
  const left = await client.POST("/api/v1/auth/logout", {
    body: { refresh_token: tokens.refresh_token },
  });
  same(left.response.status, 204);
  same((await client.GET("/api/v1/items")).error?.status, 401);
}

start(async () => {
  const refresh = await signIn();
  const item = await create();
  const ropes = [1, 2, 3, 4].map((number) => `Rope ${number}`);
  for (const title of ropes) await client.POST("/api/v1/items", { body: { title } });
  const found: string[] = [];
  for await (const title of titles()) found.push(title);
  same(found, [...ropes, "Sextant"]);
  await change(item.id);
  await followATask();
  await signOut(refresh);
});
