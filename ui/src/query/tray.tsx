import type { ComponentChildren } from "preact";
export const TrayProvider = ({ children }: { children: ComponentChildren }) => <>{children}</>;
