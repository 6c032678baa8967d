// A schema class built without validation is a value whose type lies.

const isTrue = (node) => node?.type === "Literal" && node.value === true

export default {
  meta: {
    type: "problem",
    schema: [],
    messages: { disabled: "Do not build schema classes without validation: decode, or repair the schema." }
  },
  create: (context) => {
    const report = (node) => context.report({ node, messageId: "disabled" })
    const secondArgument = (node) => {
      if (node.arguments.length === 2 && isTrue(node.arguments[1])) report(node.arguments[1])
    }
    return {
      // { disableValidation: … }, { disableValidation }, { "disableValidation": … }
      "Property[key.name='disableValidation'], Property[key.value='disableValidation']": report,
      // new Tenant(fields, true), Tenant.make(fields, true)
      NewExpression: secondArgument,
      "CallExpression[callee.property.name='make']": secondArgument
    }
  }
}
