export const QueryScreen = ({ name }: { name: string | null; blank?: boolean }) => <h1>{name}</h1>;
