// The house's own lint rules (style.md).
import documentedExport from "./documented-export.mjs"
import noDisableValidation from "./no-disable-validation.mjs"
import noSqlTypeArgument from "./no-sql-type-argument.mjs"

export default {
  meta: { name: "caravel" },
  rules: {
    "documented-export": documentedExport,
    "no-disable-validation": noDisableValidation,
    "no-sql-type-argument": noSqlTypeArgument
  }
}
