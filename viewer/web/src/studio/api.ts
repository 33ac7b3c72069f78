// Asking the server. Its own sentence is what the person reads when it refuses.

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** The server did not answer: it is being restarted, or the network is gone. */
export class Unreachable extends Error {
  constructor() {
    super("The connection to the studio was lost. This page tries again by itself.");
  }
}

export const LINK_OVER = "This link is no longer valid. Open the link that Diorama printed when it started.";

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Unreachable();
  }
  const text = await response.text().catch(() => "");
  if (!response.ok) throw new ApiError(sentence(text, response.status), response.status);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** The server's sentence in an answer that is an error. */
export function sentence(text: string, status: number): string {
  try {
    const error = (JSON.parse(text) as { error?: unknown }).error;
    if (typeof error === "string" && error !== "") return error;
  } catch {
    // No JSON: the guard answers in plain text.
  }
  if (status === 401 || status === 403) return text.length > 0 && text.length < 300 ? text : LINK_OVER;
  return text.length > 0 && text.length < 300 && !text.startsWith("<") ? text : `The server answered with an error (${status}).`;
}

export const get = <T>(path: string): Promise<T> => call<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => call<T>("POST", path, body);

export const part = encodeURIComponent;
export const pictureUrl = (job: string, name: string): string => `api/jobs/${part(job)}/pictures/${part(name)}`;
export const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
