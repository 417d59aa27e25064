interface Route {
  readonly methods: readonly string[];
  readonly path: RegExp;
}

/** The paths being served, to tell "no such path" (404) from "not with this method" (405): the router cannot. */
export class KnownRoutes {
  private readonly routes: Route[] = [];

  add(url: string, method: string | readonly string[]): void {
    // A wildcard serves the files of the documentation: any path below it would otherwise be known.
    if (url.includes('*')) return;
    this.routes.push({ methods: [method].flat(), path: pattern(url) });
  }

  /** The methods that a concrete path takes, sorted; none when nothing is served there. */
  methodsOf(path: string): string[] {
    const methods = this.routes.filter((route) => route.path.test(path)).flatMap((route) => route.methods);
    return [...new Set(methods)].sort();
  }
}

/** The router's syntax: `:name` is one path segment, `::` a literal colon. */
function pattern(url: string): RegExp {
  const parts = url.split(/(::|:[A-Za-z0-9_]+)/);
  const source = parts.map((part) => {
    if (part === '::') return ':';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source.join('')}$`);
}
