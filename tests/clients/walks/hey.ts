// Walks through the API with the client that @hey-api/openapi-ts generates.

import {
  createItem, getItem, getTask, listItems, login, logout, refreshSession, registerUser, startTask,
  updateItem, type ItemDetail,
} from "./client";
import { client } from "./client/client.gen";
import { baseUrl, check, pause, same, start } from "./check";

client.setConfig({ baseUrl });
const email = "hey@example.org";
const password = "correct horse battery";

/** Make an account and sign in; a refusal has a type, too. */
async function signIn(): Promise<string> {
  const refused = await registerUser({ body: { email, password: "short" } });
  check(refused.error, refused);
  same([refused.error.status, refused.error.code], [422, "validation_error"]);
  same(refused.error.errors.map((fault) => fault.field), ["password"]);
  await registerUser({ body: { email, password } });
  const { data: tokens, error } = await login({ body: { email, password, transport: "body" } });
  check(tokens?.refresh_token, error);
  client.setConfig({ auth: tokens.access_token });
  return tokens.refresh_token;
}

/** Create an item twice under one key: it is there once. */
async function create(): Promise<ItemDetail> {
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  const { data: item, error } = await createItem({ body: { title: "Sextant" }, headers });
  const again = await createItem({ body: { title: "Sextant" }, headers });
  check(item, error);
  same(again.data, item);
  same(again.response?.headers.get("Idempotent-Replayed"), "true");
  return item;
}

/** The titles of all items, page by page. */
async function* titles(): AsyncGenerator<string> {
  let query: { limit: number; sort: string[]; cursor?: string } = { limit: 2, sort: ["title"] };
  for (;;) {
    const { data: page, error } = await listItems({ query });
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
  const read = await getItem({ path });
  const headers = { "If-Match": read.response?.headers.get("ETag") ?? "" };
  const changed = await updateItem({ path, body, headers });
  same(changed.data?.title, "Octant");
  const stale = await updateItem({ path, body, headers });
  same([stale.error?.status, stale.error?.code], [412, "precondition_failed"]);
  const fresh = { "If-None-Match": changed.response?.headers.get("ETag") ?? "" };
  const unchanged = await getItem({ path, headers: fresh });
  same([unchanged.response?.status, unchanged.data], [304, undefined]);
}

/** Start a task and ask until it is done. */
async function followATask(): Promise<void> {
  const body = { task: "demo.count", payload: { steps: 2, seconds: 0 } };
  const { data: started, error } = await startTask({ body });
  check(started, error);
  for (;;) {
    const { data: task } = await getTask({ path: { id: started.id } });
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
  const { data: tokens, error } = await refreshSession({ body: { refresh_token } });
  check(tokens?.refresh_token, error);
  client.setConfig({ auth: tokens.access_token });
  check((await listItems()).data);
  const left = await logout({ body: { refresh_token: tokens.refresh_token } });
  same(left.response?.status, 204);
  same((await listItems()).error?.status, 401);
}

start(async () => {
  const token = await signIn();
  const item = await create();
  const ropes = [1, 2, 3, 4].map((number) => `Rope ${number}`);
  for (const title of ropes) await createItem({ body: { title } });
  const found: string[] = [];
  for await (const title of titles()) found.push(title);
  same(found, [...ropes, "Sextant"]);
  await change(item.id);
  await followATask();
  await signOut(token);
});
