// Every export says in one sentence what it is, since when it exists, and where it belongs. A type that has a value's name
// in the same file, as `type Pubkey` beside the schema `Pubkey`, needs no sentence of its own.

/** The names that a declaration exports. */
const namesOf = ({ declarations, id }) => declarations ? declarations.map(({ id }) => id.name) : [id?.name]

const isType = ({ type }) => type === "TSTypeAliasDeclaration" || type === "TSInterfaceDeclaration"

/** The text of a doc comment, without its stars. */
const textOf = ({ value }) => value.slice(1).replaceAll(/^[ \t]*\*[ \t]?/gm, "").trim()

export default {
  meta: {
    type: "suggestion",
    schema: [],
    messages: {
      comment: "Document {{ name }} with a doc comment.",
      sentence: "Say in a sentence what {{ name }} is.",
      since: "Say with @since in which version {{ name }} came.",
      category: "Say with @category where {{ name }} belongs."
    }
  },
  create: (context) => {
    const exported = []
    return {
      "ExportNamedDeclaration[declaration], ExportDefaultDeclaration": (node) => exported.push(node),
      "Program:exit": () => {
        const values = new Set(
          exported.filter(({ declaration }) => !isType(declaration)).flatMap(({ declaration }) => namesOf(declaration))
        )
        const documented = new Set()
        for (const node of exported) {
          const names = namesOf(node.declaration)
          const name = names[0] ?? "the default export"
          // The comment of the first overload is that of all.
          if (node.declaration.type === "TSDeclareFunction" || node.declaration.type === "FunctionDeclaration") {
            if (documented.has(name)) continue
            documented.add(name)
          }
          const report = (messageId) => context.report({ node: node.declaration, messageId, data: { name } })
          const comment = context.sourceCode.getCommentsBefore(node).at(-1)
          if (comment?.type !== "Block" || !comment.value.startsWith("*")) {
            report("comment")
            continue
          }
          const text = textOf(comment)
          if (text.startsWith("@") && !(isType(node.declaration) && values.has(name))) report("sentence")
          if (!/^@since \d+\.\d+\.\d+$/m.test(text)) report("since")
          if (!/^@category \S/m.test(text)) report("category")
        }
      }
    }
  }
}
