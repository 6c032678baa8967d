import dprint from "@effect/eslint-plugin/configs/dprint"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import tseslint from "typescript-eslint"
import local from "./eslint-rules/index.mjs"
import { packages } from "./scripts/workspace.mjs"

/** The modules that users see: each package's entries, and what they export. */
const published = packages.filter(({ json }) => json.private !== true).flatMap(({ name, path }) =>
  ["index", "adapter"].flatMap((entry) => {
    const file = join(path, `src/${entry}.ts`)
    if (!existsSync(file)) return []
    const modules = readFileSync(file, "utf8").matchAll(/ from "\.\/(.+)\.js"/g)
    return [entry, ...Array.from(modules, ([, module]) => module)].map((module) => `packages/${name}/src/${module}.ts`)
  })
)
// The suites of `conformance` are tests too, though they stand in src.
const tests = ["{packages,examples}/*/test/**/*.ts", "packages/conformance/src/**/*.ts"]

/** Banned syntax. ESLint does not merge a rule's options, so each place below lists all that holds in it. */
const everywhere = [
  {
    selector: "CallExpression[callee.property.name='push'] > SpreadElement.arguments",
    message: "A spread into push overflows the stack on long arrays: push one by one, or build a new array."
  },
  {
    selector: "MemberExpression[object.name=/^(Effect|Stream|Layer)$/][property.name=/^catch(All|Some)Cause$/]",
    message: "A whole cause holds defects and interruption too: catch the typed errors."
  },
  {
    selector: "MemberExpression[property.name='groupBy']",
    message: "It groups in an object, and a key from outside may be called constructor or __proto__: use a Map."
  },
  {
    selector: "ImportDeclaration[source.value='effect'] > ImportSpecifier[local.name=/^(Array|String|Record)$/]",
    message: "Import it as Arr, Str or Rec, as Effect's own code does: globals keep their meaning."
  }
]
const inTests = [
  {
    selector:
      "CallExpression[callee.name=/^set(Timeout|Interval)$/], CallExpression[callee.property.name=/^set(Timeout|Interval)$/]",
    message: "Tests wait for what can be observed, never for time to pass."
  },
  {
    selector: "CallExpression[callee.property.name=/^(sleep|delay)$/]",
    message: "Tests wait for what can be observed, never for time to pass; TestClock moves time."
  },
  {
    selector: "ImportDeclaration[source.value=/timers/]",
    message: "Tests wait for what can be observed, never for time to pass."
  }
]
const inSql = [
  {
    selector: "MemberExpression[property.name=/^orDie(With)?$/]",
    message: "A database error is a typed answer (StorageError), never a defect."
  }
]

// Decisions are pure: of Effect they know data, and nothing that runs. Types are free.
const effectData = "Array|Data|Either|Function|HashMap|Match|Option|Record|Struct|pipe"
const inDecider = [
  {
    selector: "ImportDeclaration[source.value='effect'][importKind!='type'] > :matches(ImportNamespaceSpecifier, " +
      `ImportSpecifier[importKind!='type']:not([imported.name=/^(${effectData})$/]))`,
    message: `Decisions are pure: of effect, import only ${effectData.replaceAll("|", ", ")}, and types.`
  },
  {
    selector: "ImportDeclaration[source.value=/^effect./][importKind!='type']",
    message: "Decisions are pure: import Effect's data modules by name from effect."
  }
]

/** A path that leaves its package for the inside of another. */
const otherPackages = {
  regex: "^(\\.\\./)+[\\w-]+/(src|test|dist)(/|$)|^@caravel/(?!domain/adapter$)[\\w-]+/",
  message: "Import another package by its name."
}

export default tseslint.config(
  {
    ignores: [
      "**/dist",
      "**/build",
      "**/coverage",
      "**/data",
      "**/node_modules",
      "examples/http-client/src/caravel.d.ts"
    ]
  },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  tseslint.configs.recommended,
  ...dprint,
  {
    files: ["**/*.{ts,mjs}"],
    plugins: { local },
    rules: {
      "eqeqeq": "error",
      "max-lines": ["error", 400],
      "object-shorthand": "error",
      "no-restricted-syntax": ["error", ...everywhere],
      "no-restricted-imports": ["error", { patterns: [otherPackages] }],
      "require-yield": "off",
      "@typescript-eslint/array-type": ["error", { default: "generic" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      // Effect's own types are full of them: `any` in a constraint, a class and a namespace of one name.
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-namespace": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "local/no-disable-validation": "error",
      "local/no-sql-type-argument": "error",
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          operatorPosition: "maintain",
          "arrowFunction.useParentheses": "force"
        }
      }]
    }
  },
  {
    files: ["{packages,examples}/*/{src,test}/**/*.ts"],
    languageOptions: { parserOptions: { project: "./tsconfig.check.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "no-console": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/no-deprecated": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }]
    }
  },
  { files: published, rules: { "local/documented-export": "error" } },
  {
    files: ["packages/*/src/**/*.ts"],
    // The suites of `conformance` are lists of tests.
    ignores: ["packages/conformance/src/**/*.ts"],
    rules: { "max-lines-per-function": ["error", { max: 80, skipBlankLines: true, skipComments: true }] }
  },
  { files: tests, rules: { "no-restricted-syntax": ["error", ...everywhere, ...inTests] } },
  { files: ["packages/sql/src/**/*.ts"], rules: { "no-restricted-syntax": ["error", ...everywhere, ...inSql] } },
  {
    files: ["packages/domain/src/decide/Decider.ts"],
    rules: { "no-restricted-syntax": ["error", ...everywhere, ...inDecider] }
  }
)
