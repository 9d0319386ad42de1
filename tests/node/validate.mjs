// Compiles the schema named by the first argument in ajv's strict mode. Then reads events from
// stdin, one JSON text a line, and prints for each "ok", or what is wrong with it.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const ajv = addFormats(new Ajv2020({ strict: true, allErrors: true }));
const validate = ajv.compile(JSON.parse(readFileSync(process.argv[2], "utf8")));
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  console.log(validate(JSON.parse(line)) ? "ok" : ajv.errorsText(validate.errors));
}
