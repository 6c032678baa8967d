// A type argument on a statement is a claim about rows that nothing checks: rows are decoded through a schema.

/** The last name of what is called or used as a tag: `sql`, `this.sql`, `readerSql`. */
const nameOf = (node) => node.type === "MemberExpression" ? nameOf(node.property) : node.name ?? ""

const isSql = (node) => /sql$/i.test(nameOf(node))

const isStatement = (node) => node.type === "TaggedTemplateExpression" && isSql(node.tag)

export default {
  meta: {
    type: "problem",
    schema: [],
    messages: { typed: "Rows have no type of their own: leave the type away and decode them through a schema." }
  },
  create: (context) => ({
    // sql<Row>`…`
    TaggedTemplateExpression: (node) => {
      if (node.typeArguments && isSql(node.tag)) context.report({ node: node.typeArguments, messageId: "typed" })
    },
    // sql.unsafe<Row>("…")
    "CallExpression[callee.property.name='unsafe']": (node) => {
      if (node.typeArguments) context.report({ node: node.typeArguments, messageId: "typed" })
    },
    // sql`…` as Statement<Row>
    TSAsExpression: (node) => {
      if (isStatement(node.expression)) context.report({ node: node.typeAnnotation, messageId: "typed" })
    }
  })
}
