// Run by `node --test`: every rule passes what it should and reports what it should.
import { RuleTester } from "eslint"
import { describe, it } from "node:test"
import tseslint from "typescript-eslint"
import local from "./index.mjs"

RuleTester.describe = describe
RuleTester.it = it

const tester = new RuleTester({ languageOptions: { parser: tseslint.parser } })

const check = (name, { invalid, valid }) =>
  tester.run(name, local.rules[name], {
    valid,
    invalid: invalid.map(([code, ...messages]) => ({ code, errors: messages.map((messageId) => ({ messageId })) }))
  })

check("no-sql-type-argument", {
  valid: [
    "sql`select 1`",
    "sql.unsafe('select 1')",
    "html<Row>`<p>`",
    "Effect.succeed<Row>(row)",
    "row as Row"
  ],
  invalid: [
    ["sql<Row>`select 1`", "typed"],
    ["this.sql<{ readonly id: string }>`select 1`", "typed"],
    ["readerSql<Row>`select 1`", "typed"],
    ["sql.unsafe<Row>('select 1')", "typed"],
    ["(sql`select 1`) as Statement<Row>", "typed"],
    ["sql<Row>`select 1` as Statement<Row>", "typed", "typed"]
  ]
})

check("no-disable-validation", {
  valid: [
    "new Tenant(fields)",
    "new Tenant(fields, false)",
    "new Map([[1, true]])",
    "Tenant.make(fields)",
    "decode(fields, true)"
  ],
  invalid: [
    ["Tenant.make(fields, { disableValidation: true })", "disabled"],
    ["Tenant.make(fields, { 'disableValidation': flag })", "disabled"],
    ["const options = { disableValidation }", "disabled"],
    ["new Tenant(fields, true)", "disabled"],
    ["Tenant.make(fields, true)", "disabled"]
  ]
})

const tags = "@since 0.1.0\n * @category models"

check("documented-export", {
  valid: [
    "const hidden = 1",
    "export * from './Tenant.js'",
    "export { tenant } from './Tenant.js'",
    `/**\n * A tenant.\n *\n * ${tags}\n */\nexport class Tenant {}`,
    `/**\n * A key.\n *\n * ${tags}\n */\nexport const Key = 1\n\n/**\n * ${tags}\n */\nexport type Key = number`,
    `/**\n * Adds.\n *\n * ${tags}\n */\nexport function add(a: 1): 1\nexport function add(a: 2): 2\nexport function add(a: any) { return a }`
  ],
  invalid: [
    ["export const a = 1", "comment"],
    ["// A line.\nexport const a = 1", "comment"],
    ["/* Not a doc comment. */\nexport interface A {}", "comment"],
    [`/**\n * ${tags}\n */\nexport const a = 1`, "sentence"],
    [`/**\n * ${tags}\n */\nexport type A = 1`, "sentence"],
    ["/** Is one. */\nexport const a = 1", "since", "category"],
    ["/**\n * Is one.\n * @since soon\n * @category models\n */\nexport const a = 1", "since"]
  ]
})
