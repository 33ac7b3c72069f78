// What goes wrong in words a person can act on.

/** An error for the person: a short heading and a sentence or two that say what to do. */
export class PageError extends Error {
  constructor(
    readonly heading: string,
    readonly advice: string,
  ) {
    super(`${heading}. ${advice}`);
  }
}

export const connectionLost = (): PageError =>
  new PageError(
    "The connection to Diorama was lost",
    "Is `diorama view` still running, or the web server that holds this page? Start it again and reload.",
  );

/** `fetch` of a file beside the page, with failures in plain words. */
export async function fetchBeside(url: string, what: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw connectionLost();
  }
  if (response.status === 403) {
    throw new PageError("This link is no longer valid", "Open the link that Diorama printed when it started.");
  }
  if (!response.ok) {
    throw new PageError(`${what} is missing`, `The server answered ${response.status} for ${url}. Publish the scene again.`);
  }
  return response;
}
