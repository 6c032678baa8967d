export declare const bundle: (entry: URL) => string
