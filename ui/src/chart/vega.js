// What `vega` is in the bundle: its view and the transforms that our pictures need, without maps, trees, forces and text clouds.
// build.mjs puts it in place of the package, for Vega-Lite too.

import { transforms } from "vega-dataflow";
import * as encode from "vega-encode";
import * as plain from "vega-transforms";
import { extend } from "vega-util";
import * as drawn from "vega-view-transforms";

extend(transforms, plain, drawn, encode);

export { parse } from "vega-parser";
export * from "vega-util";
export { View } from "vega-view";
