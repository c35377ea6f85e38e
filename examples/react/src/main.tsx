import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { getSession } from "./app";
import "./styles.css";

const root = createRoot(document.getElementById("root") as HTMLElement);
getSession().then(
  (session) => root.render(<StrictMode><App session={session} /></StrictMode>),
  (error: Error) => root.render(<p role="alert">{error.message}</p>),
);
