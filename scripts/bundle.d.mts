export declare const bundle: (entry: URL, ...beside: ReadonlyArray<URL>) => string;
