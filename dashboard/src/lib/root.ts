/** Where the page's server stands: `/`, or the path prefix that it wrote into `<base href>`. */
export const root: string = document.querySelector("base")?.getAttribute("href") ?? "/";

/** An address of the server, under the prefix. */
export const at = (path: string): string => root.replace(/\/$/, "") + path;
