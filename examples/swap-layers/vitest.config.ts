import { project } from "../../vitest.project.js"

export default project("swap-layers")
