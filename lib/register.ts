// `node --import m-socket/register app.js`: whatever imports or requires `net` or `node:net` gets `m-socket/net`.
export {}
